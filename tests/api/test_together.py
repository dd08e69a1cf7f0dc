"""Face gate, stable answers, promises and strangers in one model: training, evaluation, predictions, ensembles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facevalue as fv
from facevalue.errors import UsageError
from facevalue.evidence.records import StrangerReport
from facevalue.faces import model_file
from facevalue.models.classifier import Classifier

from ..faces.drawn import detector, drawn, facts


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The drawn detector in place of the published one."""
    path = tmp_path_factory.mktemp("detector") / "drawn.onnx"
    path.write_bytes(detector())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_file, "SHA256", facts().sha256)
        yield path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawings of each class: one in ten without a face, one in ten with two; faces of ``ai`` are half dark."""
    folder = tmp_path_factory.mktemp("together") / "images"
    for c, label in enumerate(("ai", "real")):
        (folder / label).mkdir(parents=True)
        for i in range(60):
            dots = [(60 + i % 5 * 8, 60)]
            dots = [] if i % 10 == 9 else dots + [(140, 60)] * (i % 10 == 8)
            image = drawn(*dots, seed=1000 * c + i)
            for x, y in dots if label == "ai" else []:
                image.paste((20, 20, 30), (max(0, x - 30), y - 30, x - 10, y + 30))
            image.save(folder / label / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "stripes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(20):
        row = np.repeat(rng.integers(0, 120, (1, 10, 3), dtype=np.uint8), 4, axis=1)
        Image.fromarray(np.repeat(row, 40, axis=0)).rotate(90 * (i % 2)).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def members(
    images: Path, stripes: Path, detector_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Classifier]:
    """Two models with everything, the first in a folder: of the same images and splits, with other weights."""
    return [
        fv.train(
            images,
            tmp_path_factory.mktemp("members") / "model" if saved else None,
            recipe="scratch",
            size=24,
            epochs=3,
            gate="face",
            gate_model=detector_file,
            stable=2,
            strangers=stripes,
            settings={
                "network.options": {"widths": widths},
                "optimizer.lr": 3e-3,
                "fit.patience": 0,
                "split.near": -1,
                "split.calibration": 0.25,
                "calibration.floor": 0.5,
                "calibration.max_error": 0.4,
                "calibration.max_false_positive": 0.4,
            },
        )
        for saved, widths in ((True, [8, 16]), (False, [8, 12]))
    ]


def test_one_training_and_one_prediction_do_all_of_it(members: list[Classifier], images: Path, stripes: Path) -> None:
    model, card = members[0], members[0].card
    assert (card.gate is not None, card.inputs, "stripes" in card.novelty.strangers) == (True, 2, True)
    for limits in (card.abstention, card.limits):  # of single answers, and of stable ones
        assert limits.stated_error is not None
        assert limits.false_positives is not None
        assert limits.novelty == card.abstention.novelty

    test = card.evaluation("test")
    assert test is not None
    assert test.inputs == 2
    assert set(test.reasons) == {"no_face", "gate_unsure", "novel", "uncertain", "unstable"}
    rows = model.origin.manifest.rows("test")  # type: ignore[union-attr]
    predictions = fv.open(str(model.folder)).predict([str(path) for path in rows["path"]])
    assert {reason: sum(reason in p.reasons for p in predictions) for reason in test.reasons} == test.reasons
    assert sum(p.abstained for p in predictions) == test.abstained
    for p in predictions:
        in_torch = model.predict(str(p.path))
        assert [(q.label, q.reasons) for q in in_torch] == [(p.label, p.reasons)]

    (report,) = card.of_kind(StrangerReport)
    assert [one.name for one in report.sets] == ["drawn", "stripes"]
    assert "strangers-without-gate" in {w.code for w in report.warnings}
    # Of the images with a face as many are answered as the evaluation says: by gate, stability and both thresholds.
    with_face = test.n - test.reasons["no_face"]
    assert report.answered_own * with_face == pytest.approx(test.n - test.abstained)
    assert all(p.reasons == ("no_face",) for p in model.predict(stripes))


def test_an_ensemble_keeps_stable_answers_and_says_that_promises_are_lost(members: list[Classifier]) -> None:
    together = fv.ensemble(members)
    card, test = together.card, together.card.evaluation("test")
    assert card.gate == members[0].card.gate
    assert card.stability is not None
    assert (card.inputs, card.stability.n > 0, card.stability.pipelines) == (
        2,
        True,
        members[0].card.stability.pipelines,  # type: ignore[union-attr]
    )
    assert test is not None
    assert test.inputs == 2
    assert card.limits.stated_error is None
    assert "ensemble-without-promise" in {w.code for w in card.data.warnings}


def test_members_with_other_numbers_of_inputs_are_refused(members: list[Classifier]) -> None:
    once = members[1].changed(members[1].card.with_inputs(0))
    with pytest.raises(
        UsageError, match="members need the same `stable`, but model 1 makes an answer from 2 network inp"
    ):
        fv.ensemble([members[0].changed(members[0].card), once])


def test_attacks_and_comparisons_say_what_they_score(members: list[Classifier], images: Path) -> None:
    stable, once = members[0], members[0].changed(members[0].card.with_inputs(0))
    attacked = fv.attack(stable, images, attacks=["fgsm"], eps=1 / 255, limit=4)
    assert [w.values["inputs"] for w in attacked.warnings if w.code == "attack-scores-once"] == [2]
    assert "attack-scores-once" not in {w.code for w in fv.attack(once, images, eps=1 / 255, limit=4).warnings}
    compared = fv.compare([stable, once])
    assert [w.values["inputs"] for w in compared.warnings if w.code == "models-differ-in-inputs"] == [(2, 1)]
    assert not fv.compare([stable, stable]).warnings
