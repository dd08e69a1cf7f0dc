"""The contract of every export target: from file bytes to label, the file answers as the model does."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, ParityError, UsageError
from facevalue.evidence.provenance import asked_by
from facevalue.export import EXPORTERS, Exporter, find
from facevalue.export.base import _compare, _in_batches
from facevalue.export.onnx import OnnxExporter
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.types import Prediction

from .conftest import Make


@pytest.fixture(params=sorted(EXPORTERS))
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return EXPORTERS[request.param]


def test_report_says_what_was_measured(
    exporter: Exporter, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "model.file"
    with asked_by("by hand"):
        report = exporter(make(), output, face_images, limit=13)
    assert report.provenance.command == "by hand"
    assert report.target == exporter.name
    assert report.path == "model.file"
    assert report.bytes == output.stat().st_size
    assert report.n == 13
    assert report.label_agreement == 1
    assert 0 <= report.max_probability_difference <= exporter.tolerance
    assert [p.name for p in output.parent.iterdir()] == ["model.file"]  # one file, nothing beside it


def test_the_classifier_is_left_as_it_is(
    exporter: Exporter, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    classifier = make().train()
    before = copy.deepcopy(classifier.state_dict())
    exporter(classifier, tmp_path / "m", face_images)
    assert classifier.training
    assert all(p.requires_grad for p in classifier.parameters())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_every_kind_of_image_file_agrees(exporter: Exporter, make: Make, lfw: Path, tmp_path: Path) -> None:
    """Rotated by EXIF, CMYK, grey, palette, 16 bit, alpha: training side and runtime must read them the same way."""
    folder = tmp_path / "images"
    source = Image.open(lfw / "face" / "face-000.png").resize((40, 30)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    for label in ("face", "not-face"):
        (folder / label).mkdir(parents=True)
        source.save(folder / label / "rotated.jpg", exif=exif)
        source.convert("CMYK").save(folder / label / "cmyk.jpg")
        source.convert("L").save(folder / label / "grey.jpg")
        source.convert("P").save(folder / label / "palette.gif")
        source.convert("L").convert("I;16").save(folder / label / "deep.png")
        source.convert("RGBA").save(folder / label / "alpha.webp")
    data = dataset_of(scan(folder), Preprocessing(size=32), ("face", "not-face"))
    assert exporter(make(), tmp_path / "m", data).n == 12


def test_without_images_nothing_is_exported(
    exporter: Exporter, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="there is none"):
        exporter(make(), tmp_path / "m", face_images.take([]))


class Altered(Exporter):
    """Writes a changed network, which the parity measurement must find."""

    name = "altered"

    def __init__(self, by: float, buffer: str = "") -> None:
        self.by, self.buffer = by, buffer

    def write(self, classifier: Classifier, path: Path) -> None:
        other = copy.deepcopy(classifier)
        with torch.no_grad():
            if self.buffer:
                other.get_buffer(self.buffer).mul_(1 + self.by)
            else:
                other.body.head.bias.add_(torch.tensor([self.by, 0.0]))
        OnnxExporter().write(other, path)

    def run(self, card: object, path: Path, batches: object) -> Iterator[Prediction]:
        return OnnxExporter().run(card, path, batches)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", [0.01, 5.0])
def test_a_file_with_other_predictions_is_refused(
    by: float, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    output = tmp_path / "model.onnx"
    output.write_text("the old one")
    with pytest.raises(ParityError, match="was not written"):
        Altered(by)(make(), output, face_images)
    assert output.read_text() == "the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_with_other_novelty_is_refused(make: Make, face_images: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="novelty"):
        Altered(0.5, "novelty_score.means")(make(), tmp_path / "m", face_images)
    assert not list(tmp_path.iterdir())


def test_an_image_that_became_unreadable_is_named(make: Make, lfw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for label in ("face", "not-face"):
        (folder / label).mkdir(parents=True)
        (folder / label / "a.png").write_bytes((lfw / label / f"{label}-001.png").read_bytes())
    data = dataset_of(scan(folder), Preprocessing(size=32), ("face", "not-face"))
    (folder / "face" / "a.png").write_bytes(b"no image")
    with pytest.raises(ParityError, match=r"a\.png is not an image"):
        OnnxExporter()(make(), tmp_path / "m", data)


def test_at_the_threshold_either_label_agrees(make: Make, face_images: ImageDataset) -> None:
    """A threshold chosen on the calibration images is one of their probabilities: rounding may flip that one."""
    classifier = make()
    one = face_images.take([0])
    with torch.no_grad():
        x = torch.from_numpy(one.pixels()).permute(0, 3, 1, 2) / 255
        p, novelty = classifier.probabilities(x), classifier.novelty(classifier.features(x))
    threshold = float(p[0, 0])
    tied = classifier.changed(card=classifier.card.changed(threshold=threshold))
    flipped = Prediction(
        None,
        {"face": threshold - 1e-7, "not-face": 1 - threshold + 1e-7},
        novelty=float(novelty[0]),
        leaning="not-face",
    )
    agreement, difference = _compare(tied, one, [flipped], 1e-4)
    assert agreement == 1
    assert difference < 1e-6
    assert _compare(tied.changed(card=tied.card.changed(threshold=0.0)), one, [flipped], 1e-4)[0] == 0


def test_one_novelty_that_differs_is_refused(make: Make, face_images: ImageDataset) -> None:
    classifier = make()
    two = face_images.take([0, 1])
    predictions = classifier.predict([two.images[0], two.images[1]])
    assert _compare(classifier, two, predictions, 1e-4)[0] == 1
    farther = dataclasses.replace(predictions[1], novelty=1.5 * (predictions[1].novelty or 0) + 1)
    with pytest.raises(ParityError, match="novelty differs"):
        _compare(classifier, two, [predictions[0], farther], 1e-4)


def test_parity_is_measured_on_batches_of_several_sizes(face_images: ImageDataset) -> None:
    """A graph with a fixed batch size answers one of them at most."""
    sizes = [len(batch) for batch in _in_batches(face_images)]
    assert sizes[:4] == [1, 2, 3, 5]
    assert sum(sizes) == len(face_images)
    assert [name for batch in _in_batches(face_images) for name, _ in batch] == list(face_images.names)


def test_an_unknown_target_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="there are: onnx"):
        find("pickle")
