"""A threshold, temperature or limit that was changed in ``card.json`` is noticed; ``calibrate`` sets a threshold."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import facevalue as fv
from facevalue.cli.common.shell import message_of
from facevalue.errors import FaceValueError, ModelFolderError, UsageError
from facevalue.evidence.card import CARD, ModelCard, Stability
from facevalue.evidence.gate_facts import GateFacts
from facevalue.evidence.seals import changed_fields, decides, seals_of
from facevalue.evidence.source_facts import SourceFacts
from facevalue.models.classifier import Classifier

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def edit(folder: Path, change: Change) -> None:
    """As a person does in an editor."""
    plain = json.loads((folder / CARD).read_text(encoding="utf-8"))
    change(plain)
    (folder / CARD).write_text(json.dumps(plain), encoding="utf-8")


DECIDES: dict[str, Change] = {
    "threshold": lambda card: card.update(threshold=0.7),
    "temperature": lambda card: card.update(temperature=2 * card["temperature"]),
    "confidence": lambda card: card["abstention"].update(confidence=0.0),
    "novelty": lambda card: card["abstention"].update(novelty=None),
    "positive": lambda card: card.update(positive=card["classes"][0]),
    "classes": lambda card: card.update(classes=card["classes"][::-1]),
    "preprocessing": lambda card: card["preprocessing"].update(fit="crop"),
    "mean": lambda card: card["network"].update(mean=[0.1, 0.1, 0.1]),
}


@pytest.mark.parametrize("name", DECIDES)
def test_a_value_that_predictions_depend_on_is_not_changed_unnoticed(name: str, model: Path, lfw: Path) -> None:
    edit(model, DECIDES[name])
    verbs: list[Callable[[], object]] = [
        lambda: fv.open(model),
        lambda: fv.load(model),
        lambda: fv.evaluate(model, lfw),
        lambda: fv.report(model),
        lambda: fv.compare([model]),
    ]
    for verb in verbs:
        with pytest.raises(ModelFolderError, match=r"card.json was changed: .* --threshold T"):
            verb()


def test_an_edit_that_decides_nothing_stays_named(model: Path, lfw: Path) -> None:
    before = fv.open(model).predict(lfw / "face")
    edit(model, lambda card: card["data"].update(warnings=[]))
    edit(model, lambda card: card["evidence"][0].update(accuracy=1.0))
    edit(model, lambda card: card["provenance"].update(command="mine"))
    assert fv.open(model).predict(lfw / "face") == before
    altered = ("data.warnings", "provenance.command", "evidence[0] (evaluation)")
    assert fv.open(model).card.altered == altered
    fv.evaluate(model, lfw)  # writes the card anew, with new seals
    assert fv.open(model).card.altered == altered
    policy = model.parent / "policy.toml"
    policy.write_text("[require]\naccuracy = 0.1\n")
    with pytest.raises(FaceValueError, match=r"was edited after .* \(data.warnings, .*\), so it proves nothing"):
        fv.check(model, policy)
    edit(model, lambda card: card.update(altered=[]))
    assert fv.open(model).card.altered == ("altered",)


def test_a_changed_threshold_of_an_older_card_is_noticed_where_the_graph_is_opened(model: Path) -> None:
    edit(model, lambda card: card.pop("seals"))
    assert fv.open(model).card.threshold == 0.5
    edit(model, lambda card: card.update(threshold=0.7))
    with pytest.raises(ModelFolderError, match=r"the threshold is 0.7 on the card and 0.5 in .*model.onnx"):
        fv.open(model)


def test_seals_are_of_the_file_alone(made: Classifier) -> None:
    assert made.folder is not None
    plain = json.loads((made.folder / CARD).read_text(encoding="utf-8"))
    assert set(plain["seals"]) == set(seals_of(plain))
    assert changed_fields(plain) == ()
    assert ModelCard.load(made.folder).seals == {}


def test_models_that_differ_in_one_limit_or_in_the_calibration_are_not_the_same(made: Classifier) -> None:
    card = made.card
    limits = card.abstention
    others = [
        card.changed(abstention=limits.changed(upper=0.9)),
        card.changed(abstention=limits.changed(lower=0.1)),
        card.changed(calibration=card.calibration.changed(method="beta", parameters={"a": (1.0,)})),
    ]
    assert len({one.decision() for one in (card, *others)}) == 4


def test_every_field_that_decides_is_in_the_hash(made: Classifier) -> None:
    card = made.card
    changes: dict[str, object] = {
        "classes": card.classes[::-1],
        "preprocessing": msgspec.structs.replace(card.preprocessing, face_margin=0.3),
        "network": card.network.changed(name="other"),
        "positive": next(c for c in card.classes if c != card.positive),
        "threshold": 0.123,
        "temperature": 9.0,
        "calibration": card.calibration.changed(method="beta", parameters={"a": (1.0,)}),
        "abstention": card.abstention.changed(confidence=0.987),
        "novelty": card.novelty.changed(score="vim"),
        "stability": Stability(inputs=3),
        "gate": GateFacts(detector="yunet", sha256="0" * 64, licence="MIT"),
        "sources": SourceFacts(names=("a/x",), counts=(3,), share=0.9),
        "files": {**card.files, "model.onnx": "other"},
    }
    assert {f.name for f in msgspec.structs.fields(ModelCard) if decides(f.name)} == set(changes)
    for name, value in changes.items():
        other = copy.copy(card)  # a gate and its margin come together only; here one field at a time is changed
        msgspec.structs.force_setattr(other, name, value)
        assert other.decision() != card.decision(), name
    assert card.with_evidence().changed(seconds_per_epoch=99.0).decision() == card.decision()


def test_calibrate_sets_a_threshold_and_fits_the_limits_to_it(model: Path, lfw: Path, tmp_path: Path) -> None:
    strict = fv.calibrate(model, lfw, tmp_path / "strict", threshold=0.9)
    plain = fv.calibrate(model, lfw)
    card = fv.open(tmp_path / "strict").card
    assert (card.threshold, card.temperature) == (0.9, plain.card.temperature)
    assert card.evidence[-1].title() == strict.card.evidence[-1].title()
    assert not [e for e in card.evidence if isinstance(e, fv.Evaluation)]
    positive = card.positive
    assert positive is not None
    for before, after in zip(plain.predict(lfw), fv.open(tmp_path / "strict").predict(lfw), strict=True):
        p = after.probabilities[positive]
        assert np.isclose(before.probabilities[positive], p, atol=1e-4)
        assert (after.leaning == positive) == (p >= 0.9)
    figures = fv.evaluate(tmp_path / "strict", lfw, split="calibration", save=False)
    assert figures.accuracy_answered is None or figures.accuracy_answered >= 0.95


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float, model: Path, lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected `threshold` above 0 and below 1, but got") as found:
        fv.calibrate(model, lfw, tmp_path / "new", threshold=threshold)
    assert message_of(found.value)[1] == 2
    assert not (tmp_path / "new").exists()
