"""What compare shows of attacks, corruptions and time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import facevalue as fv
from facevalue.evaluation.comparison import incomparable, worst_at
from facevalue.evaluation.figures import figures
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AttackFigures, AttackReport, CorruptionReport, Evaluation
from facevalue.images.preprocessing import Preprocessing

SMALL = {"network.options": {"widths": [8, 16]}, "fit.patience": 0}


def row(attack: str, robust: float, **more: object) -> AttackFigures:
    facts = {
        "norm": "linf",
        "eps": 4 / 255,
        "n": 10,
        "clean_accuracy": 1.0,
        "robust_accuracy": robust,
        "robust_ci": (0.0, 1.0),
        "robust_accuracy_unrounded": robust,
        "confusion": ((10, 0), (0, 0)),
        "mean_distance": 0.0,
        "queries": 0,
        "seconds": 0.0,
    }
    return AttackFigures(attack=attack, **{**facts, **more})  # type: ignore[arg-type]


def test_the_worst_attack_on_the_model_itself_counts() -> None:
    rows = (
        row("fgsm", 0.6),
        row("pgd", 0.4),
        row("apgd", 0.1, norm="l2"),
        row("bim", 0.3, eps=8 / 255),
        row("square", 0.2, defense="jpeg", adaptive=True),
        row("cw", 0.1, defense="distillation", adaptive=False),
        row("suite", 0.1, target="a"),
    )
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=8), network=NetworkFacts(name="x"))
    assert worst_at(card, 4 / 255) is None
    card = card.with_evidence(
        AttackReport(provenance=Provenance(n=10), classes=("a", "b"), clean_confusion=((10, 0), (0, 0)), results=rows)
    )
    found = worst_at(card, 4 / 255)
    assert found is not None
    assert (found.attack, found.robust_accuracy) == ("pgd", 0.4)
    assert worst_at(card, 1 / 255) is None
    through = AttackReport(
        provenance=Provenance(n=10),
        classes=("a", "b"),
        clean_confusion=((10, 0), (0, 0)),
        results=(row("cw", 0.05, defense="distillation", adaptive=True),),
    )
    found = worst_at(card.with_evidence(through), 4 / 255)
    assert found is not None
    assert found.attack == "cw"


def test_compare_shows_only_measured_figures(lfw: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    fv.train(lfw, model, recipe="scratch", size=24, epochs=2, settings=SMALL)
    (before,) = fv.compare([model]).to_dict()["models"]
    assert set(before["robust_accuracy"]) == {"1/255", "2/255", "4/255", "8/255"}
    assert set(before["robust_accuracy"].values()) == {None}
    assert before["corruption_accuracy"] is None
    assert before["certified_radius"] is None
    assert 0 < before["milliseconds"] < 1000
    assert before["milliseconds_n"] == 20
    attacked = fv.attack(model, lfw, attacks=["fgsm", "pgd"], eps=[4 / 255], limit=20)
    card = ModelCard.load(model)
    corrupted = CorruptionReport(
        provenance=Provenance(split="test", n=1),
        classes=card.classes,
        clean_accuracy=1,
        clean_ci=(0, 1),
        mean_accuracy=0.75,
        results=(),
    )
    card.with_evidence(corrupted).save(model)
    (after,) = fv.compare([model]).to_dict()["models"]
    worst = min(r.robust_accuracy for r in attacked.results)
    assert after["robust_accuracy"] == {"1/255": None, "2/255": None, "4/255": worst, "8/255": None}
    assert after["robust_attack"]["4/255"] in ("fgsm", "pgd")
    assert after["corruption_accuracy"] == pytest.approx(0.75)


def evaluated(n: int, fingerprint: str) -> Evaluation:
    return figures(
        ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=8), network=NetworkFacts(name="x")),
        np.arange(n) % 2,
        np.full((n, 2), 0.5),
        np.zeros(n),
    ).changed(provenance=Provenance(n=n, split="test", fingerprint=fingerprint))


def attacked(*names: str, images: str = "f") -> AttackReport:
    rows = tuple(row(name, 0.5) for name in names)
    return AttackReport(
        provenance=Provenance(n=10, fingerprint=images),
        classes=("a", "b"),
        clean_confusion=((10, 0), (0, 0)),
        results=rows,
    )


def card_of(*evidence: Evaluation | AttackReport, classes: tuple[str, ...] = ("a", "b")) -> ModelCard:
    facts = NetworkFacts(name="x")
    return ModelCard(classes=classes, preprocessing=Preprocessing(size=8), network=facts, evidence=evidence)


@pytest.mark.parametrize(
    ("one", "other", "codes"),
    [
        (card_of(), card_of(classes=("b", "a")), []),
        (card_of(), card_of(classes=("a", "c")), ["models-differ-in-classes"]),
        (card_of(evaluated(40, "f")), card_of(evaluated(40, "f")), []),
        (card_of(evaluated(40, "f")), card_of(), []),
        (card_of(evaluated(40, "f")), card_of(evaluated(40, "g")), ["compared-on-different-images"]),
        (card_of(attacked("fgsm", "pgd")), card_of(attacked("pgd"), attacked("fgsm")), []),
        (card_of(attacked("fgsm")), card_of(attacked("fgsm", "pgd")), ["compared-under-different-attacks"]),
        (card_of(attacked("pgd")), card_of(attacked("pgd", images="g")), ["compared-under-different-attacks"]),
    ],
)
def test_what_cannot_be_compared_is_said(one: ModelCard, other: ModelCard, codes: list[str]) -> None:
    found = list(incomparable(("one", one), ("two", other)))
    assert [finding.code for finding in found] == codes
    assert all("one and two" in finding.text for finding in found)


def test_two_models_of_different_images_as_a_person_compares_them(
    lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from facevalue.cli.compare import run

    monkeypatch.chdir(tmp_path)
    for name, seed in (("one", 0), ("two", 1)):
        fv.train(lfw, name, recipe="scratch", size=16, epochs=1, seed=seed, settings=SMALL)
    run([Path("one"), Path("two")], json=Path("c.json"))
    printed = capsys.readouterr().out
    assert "warning: the test accuracies of one and two were measured on different images (4" in printed
    one, two = json.loads(Path("c.json").read_text())
    assert one["warnings"] == []
    assert [w["code"] for w in two["warnings"]] == ["compared-on-different-images"]
    assert one["test_fingerprint"] != two["test_fingerprint"]
    assert one["classes"] == two["classes"] == ["face", "not-face"]
