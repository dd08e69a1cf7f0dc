"""The contract of every export target: from file bytes to label, the file answers as the model does."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, ParityError, UsageError
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.evidence.provenance import asked_by
from facevalue.evidence.records import ExportReport, ParityFigures
from facevalue.export import EXPORTERS, Exporter, find
from facevalue.export.base import Pixels, Precision, Runtime
from facevalue.export.onnx import OnnxExporter
from facevalue.export.parity import ACCURACY_LOST, TOLERANCE, Reference, problem_of
from facevalue.images.parity import one_per_kind
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier

from .conftest import Make

FORMATS = [(target, precision) for target, exporter in EXPORTERS.items() for precision in exporter.precisions]


NETWORK = {"hf": ("resnet18", 32)}
"""Targets that cannot represent every network, with one that they can."""


@dataclass(frozen=True)
class Target:
    """A target at one precision, called as its exporter is."""

    exporter: Exporter
    precision: Precision
    calibration: ImageDataset

    def __call__(self, classifier: Classifier, output: Path, dataset: ImageDataset, **options: Any) -> ExportReport:
        return self.exporter(
            classifier, output, dataset, precision=self.precision, calibration=self.calibration, **options
        )


@pytest.fixture(params=FORMATS, ids=[f"{target}-{precision}" for target, precision in FORMATS])
def target(request: pytest.FixtureRequest, face_images: ImageDataset) -> Target:
    name, precision = request.param
    missing = EXPORTERS[name].missing(precision)
    if missing is not None:
        pytest.skip(missing)
    return Target(EXPORTERS[name], precision, face_images)


def test_a_file_answers_as_the_model_and_the_report_says_so(
    target: Target, make: Make, agreed: Callable[[Classifier], ImageDataset], tmp_path: Path
) -> None:
    output = tmp_path / "out" / "model.file"
    network = NETWORK.get(target.exporter.name, ("small-resnet", 32))
    images, drawn = agreed(make(*network)), one_per_kind()
    classifier = make(*network).train()
    before = copy.deepcopy(classifier.state_dict())
    with asked_by("by hand"):
        report = target(classifier, output, images, drawn=drawn)
    assert report.provenance.command == "by hand"
    assert (report.target, report.precision) == (target.exporter.name, target.precision)
    assert report.path == "model.file"
    assert report.bytes == sum(p.stat().st_size for p in [output, *output.rglob("*")] if p.is_file())
    assert (report.n, report.drawn) == (len(images), len(drawn))
    assert report.accuracy == 1
    assert report.engine
    assert report.processor
    assert [p.name for p in output.parent.iterdir()] == ["model.file"]  # one file or folder, nothing beside it
    if target.precision == "fp32":
        assert report.label_agreement == 1
        assert report.labels_changed == report.answers_changed == 0
        assert 0 <= report.max_probability_difference <= TOLERANCE
    else:
        assert report.runtime_accuracy is not None
        assert report.runtime_accuracy >= 1 - ACCURACY_LOST
        assert 0 < report.max_probability_difference < 0.2
    assert (report.calibration_images > 0) == (target.precision == "int8")
    # The classifier is left as it is.
    assert classifier.training
    assert all(p.requires_grad for p in classifier.parameters())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_no_images_no_export(target: Target, make: Make, face_images: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is none"):
        target(make(), tmp_path / "m", face_images.take([]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_a_precision_that_a_target_lacks_is_wrong_use(
    name: str, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Expected `precision` to be fp32"):
        EXPORTERS[name](make(), tmp_path / "m", face_images, precision="fp8")  # type: ignore[arg-type]


class Altered(Exporter):
    """Writes a changed network, which the parity measurement must find."""

    name = "altered"

    def __init__(self, by: float, buffer: str = "") -> None:
        self.by, self.buffer = by, buffer

    def missing(self, precision: Precision) -> str | None:
        return None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> dict[str, str]:
        other = copy.deepcopy(classifier)
        with torch.no_grad():
            if self.buffer:
                other.get_buffer(self.buffer).mul_(1 + self.by)
            else:
                other.body.head.bias.add_(torch.tensor([self.by, 0.0]))
        OnnxExporter().write(other, path)
        return {}

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        return OnnxExporter().open(card, path, precision)


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


def answer_of(classifier: Classifier, one: ImageDataset) -> tuple[float, float]:
    """The probability of the first class, and the novelty."""
    with torch.no_grad():
        x = torch.from_numpy(one.pixels()).permute(0, 3, 1, 2) / 255
        p, novelty = classifier.probabilities(x), classifier.novelty(classifier.features(x))
    return float(p[0, 0]), float(novelty[0])


def always(p: float, novelty: float) -> Callable[[Pixels], dict[str, np.ndarray]]:
    return lambda pixels: {
        "probabilities": np.array([[p, 1 - p]] * len(pixels)),
        "novelty": np.array([novelty] * len(pixels)),
    }


def test_at_the_tie_either_label_agrees(make: Make, face_images: ImageDataset) -> None:
    """A threshold chosen on the calibration images is one of their probabilities: rounding may flip that one."""
    classifier, one = make(), face_images.take([0])
    p, novelty = answer_of(classifier, one)
    card = classifier.card.changed(threshold=p, abstention=Abstention(novelty=1e9))
    tied = classifier.changed(card=card)
    flipped = always(p - 1e-6, novelty)
    figures = Reference(tied, one).compared(flipped)
    assert (figures.labels_changed, figures.answers_changed, figures.ties) == (0, 0, 1)
    assert figures.max_probability_difference == pytest.approx(1e-6, abs=1e-7)
    assert Reference(tied, one).compared(flipped, exact=False).labels_changed == 1  # int8 is counted as it is
    far = classifier.changed(card=card.changed(threshold=min(1.0, p + 0.01)))
    assert Reference(far, one).compared(always(p + 0.02, novelty)).labels_changed == 1


@pytest.mark.parametrize("reason", ["uncertain", "novel"])
def test_another_abstention_is_refused_unless_it_is_a_tie(reason: str, make: Make, face_images: ImageDataset) -> None:
    classifier, one = make(), face_images.take([0])
    p, novelty = answer_of(classifier, one)
    top = max(p, 1 - p)

    def limited(by: float) -> Classifier:
        """A model that is not sure by ``by`` of the probability, or by this share of the limit of novelty."""
        limits = {
            "uncertain": Abstention(confidence=top + by, novelty=1e9),
            "novel": Abstention(novelty=novelty * (1 - by)),
        }
        return classifier.changed(card=classifier.card.changed(threshold=0.5, abstention=limits[reason]))

    # The runtime answers where the model abstains.
    p_sure = p + 3e-5 * (1 if p > 0.5 else -1)
    answers = always(p_sure, novelty) if reason == "uncertain" else always(p, novelty * (1 - 2e-5))
    tie = Reference(limited(1e-5), one).compared(answers)
    assert (tie.answers_changed, tie.ties) == (0, 1)
    assert problem_of(tie) is None
    answers = always(p + 0.02 * (1 if p > 0.5 else -1), novelty) if reason == "uncertain" else always(p, novelty * 0.95)
    other = Reference(limited(0.01 if reason == "uncertain" else 0.03), one).compared(answers)
    assert (other.labels_changed, other.answers_changed, other.ties) == (0, 1, 0)
    assert problem_of(other) is not None


def test_another_side_of_a_threshold_on_false_positives_is_another_answer(
    make: Make, face_images: ImageDataset
) -> None:
    classifier, one = make(), face_images.take([0])
    p, novelty = answer_of(classifier, one)
    assert classifier.card.positive == "face"

    def limited(by: float) -> Classifier:
        """A model that is not sure by ``by`` of the probability of its answer, face or not."""
        limits = Abstention(confidence=0.0, upper=p + by) if p > 0.5 else Abstention(confidence=0.0, lower=p - by)
        return classifier.changed(card=classifier.card.changed(threshold=0.5, abstention=limits))

    side = 1 if p > 0.5 else -1
    tie = Reference(limited(1e-5), one).compared(always(p + 3e-5 * side, novelty))
    assert (tie.answers_changed, tie.ties) == (0, 1)
    other = Reference(limited(0.01), one).compared(always(p + 0.02 * side, novelty))
    assert (other.labels_changed, other.answers_changed, other.ties) == (0, 1, 0)


def test_lower_precision_is_judged_by_accuracy(make: Make, face_images: ImageDataset) -> None:
    figures = ParityFigures(
        precision="int8", n=400, accuracy=0.97, runtime_accuracy=0.965, labels_changed=12, answers_changed=20
    )
    assert problem_of(figures) is None
    problem = problem_of(figures.changed(runtime_accuracy=0.9625))
    assert problem is not None
    assert "96.2 %" in problem
    assert "0.5 points" in problem
    assert problem_of(figures.changed(max_probability_difference=float("nan"))) is not None
    assert problem_of(figures.changed(precision="fp32")) is not None


@pytest.mark.parametrize(("factor", "told"), [(1.0, []), (1e-9, ["abstains-otherwise"])])
def test_lower_precision_that_abstains_otherwise_is_said_to(
    factor: float, told: list[str], make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    """A file whose novelty is 0 answers where the model abstains, with the same labels."""

    class Familiar(Altered):
        precisions = ("fp32", "bf16")

        def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
            runtime = super().open(card, path, precision)

            def run(pixels: Pixels) -> dict[str, np.ndarray]:
                found = runtime.run(pixels)
                return {**found, "novelty": found["novelty"] * factor}

            return Runtime(run, runtime.versions)

    strict = make().card.changed(abstention=Abstention(novelty=1e-6))
    figures = Familiar(0.0).measure(
        Reference(make().changed(card=strict), face_images), tmp_path / "file", precision="bf16"
    )
    assert figures.labels_changed == 0
    assert (figures.answers_changed == len(face_images)) == bool(told)
    assert [w.code for w in figures.warnings] == told
    assert figures.problem is None


def test_a_target_that_reads_otherwise_is_said_to(make: Make, face_images: ImageDataset) -> None:
    """As a program that ignores the EXIF orientation and cannot read TIFF."""
    classifier = make()
    drawn = one_per_kind()

    def read(image: ImageInput) -> Pixels:
        if not isinstance(image, bytes):
            return classifier.card.preprocessing.of(image)
        opened = Image.open(io.BytesIO(image))
        if opened.format == "TIFF":
            raise OSError("no TIFF")
        return classifier.card.preprocessing.apply(opened.convert("RGB"))

    answers = classifier.answers

    def run(pixels: Pixels) -> dict[str, np.ndarray]:
        rows = answers(pixels, False)
        return {
            "probabilities": np.array([r.probabilities for r in rows]),
            "novelty": np.array([r.novelty for r in rows]),
        }

    figures = Reference(classifier, face_images, drawn).compared(run, read=read)
    assert figures.answers_changed == 0
    otherwise = [file.kind for file in drawn if "orientation" in file.kind or file.kind.startswith("tiff")]
    assert len(otherwise) <= figures.pixel_differences < len(drawn)
    assert figures.max_pixel_difference == 255
    [found] = figures.warnings
    assert found.code == "read-otherwise"
    assert "tiff RGB (255 levels)" in found.text


def test_one_novelty_that_differs_is_refused(make: Make, face_images: ImageDataset) -> None:
    classifier, two = make(), face_images.take([0, 1])
    reference = Reference(classifier, two)

    def answers(farther: float) -> Callable[[Pixels], dict[str, np.ndarray]]:
        rows = iter([0, 1])

        def run(pixels: Pixels) -> dict[str, np.ndarray]:
            places = [next(rows) for _ in pixels]
            novelty = reference.novelty[places] * [1.0 if place == 0 else farther for place in places]
            return {"probabilities": reference.p[places], "novelty": novelty}

        return run

    assert problem_of(reference.compared(answers(1.0))) is None
    problem = problem_of(reference.compared(answers(1.5)))
    assert problem is not None
    assert "novelty differs" in problem


def test_parity_is_measured_on_batches_of_several_sizes(make: Make, face_images: ImageDataset) -> None:
    """A graph with a fixed batch size answers one of them at most."""
    reference, sizes = Reference(make(), face_images), []

    def run(pixels: Pixels) -> dict[str, np.ndarray]:
        start = sum(sizes)
        sizes.append(len(pixels))
        rows = slice(start, start + len(pixels))
        return {"probabilities": reference.p[rows], "novelty": reference.novelty[rows]}

    assert reference.compared(run).answers_changed == 0
    assert sizes[:4] == [1, 2, 3, 5]
    assert sum(sizes) == len(face_images)


def test_an_unknown_target_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="there are: onnx, "):
        find("pickle")
