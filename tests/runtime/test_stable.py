"""Stable answers in the runtime: the same from files, from network inputs and from torch, and one export less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue import decision
from facevalue.evidence.card import Abstention, Stability
from facevalue.images.versions import MOST, versions_of
from facevalue.models.classifier import load
from facevalue.runtime import Predictor, open_folder

from .model_folders import write_model

STABILITY = Stability(inputs=4, temperature=0.8, support=0.3, abstention=Abstention(confidence=0.55, novelty=3.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stable") / "model"
    write_model(place, stability=STABILITY, temperature=0.05)
    return place


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (4 + i, 5 + i, 3), dtype=np.uint8) for i in range(11)]
    return [np.asarray(Image.fromarray(one).resize((50, 40), Image.Resampling.BICUBIC)) for one in coarse]


def test_answers_are_made_from_all_versions(folder: Path, images: list[np.ndarray]) -> None:
    predictor = open_folder(folder)
    pixels = np.stack([predictor.card.preprocessing.of(image) for image in images])
    outputs = [predictor.outputs(versions_of(pixels, number)) for number in range(4)]
    expected = decision.combined(predictor.card, np.stack([one["probabilities"] for one in outputs]))
    found = predictor.predict(images)
    np.testing.assert_allclose([list(p.probabilities.values()) for p in found], expected.p, rtol=1e-4)
    assert ["unstable" in p.reasons for p in found] == expected.unstable.tolist()
    assert 0 < sum("unstable" in p.reasons for p in found) < len(found)
    assert any(p.reasons == () for p in found)
    # Novelty is of the image itself, against the limit of stable answers.
    np.testing.assert_allclose([p.novelty for p in found], outputs[0]["novelty"] / 3, rtol=1e-5)


def test_files_network_inputs_and_torch_agree(folder: Path, images: list[np.ndarray]) -> None:
    predictor, classifier = open_folder(folder), load(folder)
    pixels = np.stack([predictor.card.preprocessing.of(image) for image in images])
    from_files, from_torch = predictor.predict(images, heat=True), classifier.predict(images, heat=True)
    from_pixels, outputs = predictor.predict_pixels(pixels, heat=True)
    for one, other, third in zip(from_files, from_pixels, from_torch, strict=True):
        assert (one.label, one.reasons) == (other.label, other.reasons) == (third.label, third.reasons)
        for label, value in one.probabilities.items():
            assert other.probabilities[label] == pytest.approx(value, abs=1e-5)
            assert third.probabilities[label] == pytest.approx(value, abs=1e-3)
        assert one.heat is not None
        assert other.heat is not None
        np.testing.assert_allclose(one.heat, other.heat, atol=1e-5)
    np.testing.assert_allclose(
        outputs["probabilities"][:, 0], [p.probabilities["face"] for p in from_pixels], atol=1e-6
    )
    plain = open_folder(folder, stable=0)
    np.testing.assert_allclose(outputs["logits"], plain.outputs(pixels)["logits"], rtol=1e-5)


def test_stable_can_be_switched_off_or_changed(folder: Path, images: list[np.ndarray], notes: list[str]) -> None:
    assert open_folder(folder).card.stability == STABILITY
    off = open_folder(folder, stable=0)
    assert off.card.inputs == 1
    assert all("unstable" not in p.reasons for p in off.predict(images))
    assert notes == []
    more = open_folder(folder, stable=MOST)
    assert more.card.inputs == MOST
    assert [note for note in notes if "[stability-not-calibrated]" in note]
    assert len(more.predict(images)) == len(images)


def test_networks_with_a_small_batch_are_asked_in_parts(folder: Path, images: list[np.ndarray]) -> None:
    card = open_folder(folder).card
    small = Predictor(card.changed(network=card.network.changed(batch=2)), folder / "model.onnx")
    expected = open_folder(folder).predict(images)
    found = small.predict(images)
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities["face"] == pytest.approx(other.probabilities["face"], abs=1e-4)
        assert one.reasons == other.reasons
