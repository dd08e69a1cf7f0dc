"""Attacking through a defence: both figures, the warning, and what a card keeps of it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch

import facevalue as fv
from facevalue.data.dataset import dataset_of
from facevalue.data.scan import scan
from facevalue.errors import UsageError
from facevalue.evaluation.comparison import worst_at
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import AttackFigures, AttackReport
from facevalue.models.classifier import load
from facevalue.models.features import to_tensor
from facevalue.robustness import defenses
from facevalue.robustness.attacks.defended import masked

SMALL = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 5e-3}


@pytest.fixture(scope="module")
def plain(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "model"
    fv.train(lfw, folder, recipe="scratch", size=24, epochs=10, settings=SMALL)
    return folder


def row(attack: str, robust: float, n: int = 100, **more: object) -> AttackFigures:
    half = 0.08
    facts = {
        "norm": "linf",
        "eps": 4 / 255,
        "n": n,
        "clean_accuracy": 1.0,
        "robust_accuracy": robust,
        "robust_ci": (max(0, robust - half), min(1, robust + half)),
        "robust_accuracy_unrounded": robust,
        "confusion": ((n, 0), (0, 0)),
        "mean_distance": 0.0,
        "queries": 0,
        "seconds": 0.0,
    }
    return AttackFigures(attack=attack, **{**facts, **more})  # type: ignore[arg-type]


def test_a_defence_that_only_hides_gradients_is_named() -> None:
    blind = [row("pgd", 0.7, defense="jpeg"), row("fgsm", 0.5, defense="jpeg"), row("bim", 0.1, defense="jpeg")]
    adaptive = [
        b.changed(robust_accuracy=v, robust_ci=(v, v + 0.05), adaptive=True)
        for b, v in zip(blind, (0.1, 0.48, 0.4), strict=True)
    ]
    told = list(masked(blind, adaptive))
    assert len(told) == 2
    assert [found.code for found in told] == ["gradients-masked", "adaptive-attack-too-weak"]
    assert told[0].text.startswith("jpeg only hides gradients: robust accuracy under pgd at 4/255 (linf) is 70.0 %")
    assert "10.0 % when it goes through it (n = 100)" in told[0].text
    assert (told[1].values["blind"], told[1].values["adaptive"]) == (0.1, 0.4)
    assert "bim at 4/255" in told[1].text


def test_both_figures_stand_side_by_side_and_on_the_card(plain: Path, lfw: Path, tmp_path: Path) -> None:
    defense = "bits"
    asked = {"attacks": ["fgsm", "pgd"], "eps": [4 / 255, 16 / 255], "defense": defense, "limit": 20}
    report = fv.attack(plain, lfw, **asked, plot=tmp_path / "curve.png")  # type: ignore[arg-type]
    assert [(r.attack, r.eps, r.adaptive, r.defense) for r in report.results] == [
        (a, e, adaptive, defense) for a in ("fgsm", "pgd") for e in (4 / 255, 16 / 255) for adaptive in (False, True)
    ]
    for r in report.results:
        assert sum(map(sum, r.confusion)) == r.n == 20
        assert r.confusion[0][0] + r.confusion[1][1] == round(r.robust_accuracy * r.n)
        assert r.robust_accuracy <= r.clean_accuracy
        assert not r.speaks_of_model
    by = {(r.attack, r.eps, r.adaptive): r.robust_accuracy for r in report.results}
    assert by["pgd", 16 / 255, True] < 0.7
    assert (tmp_path / "curve.png").stat().st_size > 5_000
    assert f"pgd ignoring {defense}" in (plain / "report.html").read_text()
    kept = [e for e in ModelCard.load(plain).evidence if isinstance(e, AttackReport)]
    assert report.results in [e.results for e in kept]
    again = fv.attack(plain, lfw, **asked, save=False)  # type: ignore[arg-type]
    assert [r.robust_accuracy for r in again.results] == [r.robust_accuracy for r in report.results]


def test_a_target_and_saved_images_behind_a_defence(plain: Path, lfw: Path, tmp_path: Path) -> None:
    kept = tmp_path / "images"
    asked = {"attacks": ["pgd"], "eps": [16 / 255], "defense": "blur", "limit": 20, "target": "face", "save": False}
    report = fv.attack(plain, lfw, **asked, save_images=kept)  # type: ignore[arg-type]
    face, other = report.classes.index("face"), 1 - report.classes.index("face")
    clean = report.clean_confusion
    for r in report.results:
        assert r.target == "face"
        assert r.confusion[face] == clean[face]  # images of the target are left alone
        taken = r.confusion[other][face] - clean[other][face]
        assert r.target_rate == pytest.approx(taken / clean[other][other])
    _, adaptive = report.results
    assert adaptive.target_rate is not None
    assert adaptive.target_rate > 0
    # The saved images are those of the adaptive attack: evaluating them gives the same robust accuracy.
    rows = list(csv.DictReader((kept / "images.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == adaptive.n
    assert sum(r["decision"] == r["label"] for r in rows) == round(adaptive.robust_accuracy * adaptive.n)
    classifier = load(plain)
    behind = defenses.defended(classifier, defenses.find("blur"))
    found = dataset_of(scan(kept / "pgd-linf-16_255"), classifier.card.preprocessing, classifier.card.classes)
    with torch.no_grad():
        decided = behind.decide(behind.logits(to_tensor(found.pixels()))).numpy()
    right = decided == found.labels
    assert right.mean() == pytest.approx(adaptive.robust_accuracy)


def test_an_unknown_defence_names_the_known(plain: Path, lfw: Path) -> None:
    with pytest.raises(UsageError, match="no defense 'prayer'; there are: jpeg"):
        fv.attack(plain, lfw, defense="prayer", save=False)


def test_defensive_distillation_stops_the_blind_but_not_the_adaptive_attack(
    plain: Path, lfw: Path, tmp_path: Path
) -> None:
    student = tmp_path / "student"
    harder = SMALL | {"optimizer.lr": 0.02}
    fv.train(
        lfw, student, recipe="scratch", size=24, epochs=80, teacher=str(plain), distill_temperature=40, settings=harder
    )
    # So large that the gap is beyond chance on any processor: training differs with its convolution kernels.
    report = fv.attack(student, lfw, attacks=["pgd"], eps=[28 / 255])
    blind, adaptive = report.results
    assert (blind.defense, blind.adaptive, adaptive.adaptive) == ("distillation", False, True)
    assert blind.robust_accuracy > adaptive.robust_accuracy + 0.2
    [masked] = [w for w in report.warnings if w.code == "gradients-masked"]
    assert masked.values["defense"] == "distillation"
    assert adaptive.speaks_of_model
    assert not blind.speaks_of_model


def test_an_ensemble_of_distilled_models_is_attacked_adaptively(plain: Path, lfw: Path, tmp_path: Path) -> None:
    student, together = tmp_path / "student", tmp_path / "together"
    fv.train(lfw, student, recipe="scratch", size=24, epochs=1, teacher=str(plain), settings=SMALL)
    fv.ensemble([plain, student], together)
    rows = fv.attack(together, lfw, eps=[4 / 255], limit=4, save=False).results
    assert [(r.defense, r.adaptive) for r in rows] == [("distillation", False), ("distillation", True)]
    with pytest.raises(UsageError, match="no defense ''"):
        fv.attack(together, lfw, defense="", save=False)


def test_a_targeted_attack_does_not_replace_one_that_has_no_target(plain: Path, lfw: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(plain, tmp_path / "model"))
    fv.attack(model, lfw, eps=[16 / 255], limit=10)
    before = worst_at(ModelCard.load(model), 16 / 255)
    fv.attack(model, lfw, eps=[16 / 255], limit=10, target="face")
    card = ModelCard.load(model)
    assert worst_at(card, 16 / 255) == before
    targets = [r.target for e in card.evidence if isinstance(e, AttackReport) for r in e.results]
    assert targets.count("face") == 1
    assert None in targets
