"""What compare shows of attacks, corruptions and time."""

from __future__ import annotations

from pathlib import Path

import pytest

import facevalue as fv
from facevalue.evaluation.comparison import worst_at
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AttackFigures, AttackReport, CorruptionReport
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
