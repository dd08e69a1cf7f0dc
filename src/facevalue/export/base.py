"""What an exporter is: it writes one file, and the base class asks whether that file answers as the model does."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.errors import DataError, FaceValueError, ParityError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import ExportReport
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.features import features_of
from facevalue.support import files
from facevalue.support.formats import percent
from facevalue.types import Prediction

BATCHES = (1, 2, 3, 5)
"""Sizes of the first batches that parity is measured in: a graph made for one size only fails at the others."""


class Exporter(ABC):
    """Template of an export target. A subclass writes :meth:`write` and :meth:`run`; its file holds one network.

    Attributes
    ----------
    name : the target, as ``--to`` names it.
    precision : of the numbers in the file.
    tolerance : largest difference of a calibrated probability from the model's that passes.
    """

    name: ClassVar[str]
    precision: ClassVar[str] = "fp32"
    # Two engines add float32 products in different orders: logits then differ by about 1e-6 of their size, and
    # probabilities by at most a quarter of the logits' difference over the temperature. 1e-4 leaves room for a
    # hundred layers and sharp temperatures, and is below what anybody reads off a probability.
    tolerance: ClassVar[float] = 1e-4

    @abstractmethod
    def write(self, classifier: Classifier, path: Path) -> None:
        """Write the network, pixels to answer, to ``path``. ``classifier`` is a copy on the CPU in eval mode."""

    @abstractmethod
    def run(
        self, card: ModelCard, path: Path, batches: Iterable[Sequence[tuple[str, ImageInput]]]
    ) -> Iterator[Prediction]:
        """Read the file back with the target's own runner, and answer images with their names, batch by batch."""

    @final
    def __call__(self, classifier: Classifier, output: Path, dataset: ImageDataset, *, limit: int = 32) -> ExportReport:
        """Write ``output``, and measure from file bytes to label that it answers as ``classifier`` does.

        Parameters
        ----------
        classifier : left as it is: its weights, device and mode.
        output : file to write; it is there afterwards only if parity holds.
        dataset : files to compare on, at most ``limit`` of them, drawn evenly from the classes.

        Raises
        ------
        ParityError
            A label or a probability differs; no file is left, and one that stood at ``output`` stays.
        DataError
            There is no image to compare on.
        """
        start = time.perf_counter()
        if not len(dataset):
            raise DataError("an export is compared on images, but there is none")
        chosen = dataset.some(limit)
        model = copy.deepcopy(classifier).cpu().eval().requires_grad_(False)
        with files.replacing_file(output) as partial:
            self.write(model, partial)
            if not partial.stat().st_size:
                raise FaceValueError(f"{self.name} wrote nothing to {output}")
            predictions = list(self.run(model.card, partial, _in_batches(chosen)))
            agreement, difference = _compare(model, chosen, predictions, self.tolerance)
            if agreement < 1 or not difference <= self.tolerance:
                raise ParityError(
                    f"{output} was not written: on {len(chosen)} images its labels agree with the model's on "
                    f"{percent(agreement)} and its probabilities differ by up to {difference:.2g}; "
                    f"all labels should agree, and probabilities to {self.tolerance:g}"
                )
            size = partial.stat().st_size
        return ExportReport(
            target=self.name,
            path=output.name,
            bytes=size,
            provenance=Provenance.of(chosen, start),
            label_agreement=agreement,
            max_probability_difference=difference,
            precision=self.precision,
        )


def _in_batches(dataset: ImageDataset) -> Iterator[Sequence[tuple[str, ImageInput]]]:
    """Names and images."""
    named = list(zip(dataset.names, dataset.images, strict=True))
    start = 0
    for size in (*BATCHES, *[8] * len(named)):
        if start >= len(named):
            return
        yield named[start : start + size]
        start += size


def _compare(
    model: Classifier, dataset: ImageDataset, predictions: Sequence[Prediction], tolerance: float
) -> tuple[float, float]:
    """Share of labels that agree, and the largest difference of a probability or (relative to its limit) novelty.

    Where the model itself stands within ``tolerance`` of the tie, either label is right to that precision and agrees.
    """
    bad = [prediction for prediction in predictions if prediction.error is not None]
    if len(predictions) != len(dataset) or bad:
        reason = f"{bad[0].path} {bad[0].error}" if bad else f"{len(predictions)} answers to {len(dataset)} images"
        raise ParityError(f"the exported file could not be compared: {reason}")
    card = model.card
    features = features_of(model, dataset, engine="torch")
    expected, distance = features.probabilities(model), features.novelty(model)
    got = np.array([[prediction.probabilities[name] for name in card.classes] for prediction in predictions])
    positive = card.positive_index
    wanted = decision.decide(expected, positive, card.threshold)
    decided = np.array([card.classes.index(prediction.leaning or "") for prediction in predictions])
    agrees = (decided == wanted) | (_margin(expected, positive, card.threshold) <= tolerance)
    difference = float(np.abs(got - expected).max())
    if card.abstention.novelty is not None:
        novelty = np.array([prediction.novelty for prediction in predictions], np.float64)
        # Novelty has no upper bound: far from the training data, what counts is the relative difference.
        away = np.abs(novelty - distance / card.abstention.novelty) / np.maximum(1, novelty)
        if not (away <= NOVELTY_TOLERANCE).all():
            raise ParityError(
                f"the exported file's novelty differs from the model's by up to {away.max():.2g} of its limit"
            )
    return float(agrees.mean()), difference


NOVELTY_TOLERANCE = 1e-2
"""Squares of features, divided by small variances, are summed for it: about two digits fewer than a probability has."""


def _margin(p: NDArray[np.float64], positive: int | None, threshold: float) -> NDArray[np.float64]:
    """(n,) how far each decision is from the other one, in probability."""
    if positive is not None:
        return np.asarray(np.abs(p[:, positive] - threshold), np.float64)
    top = np.sort(p, axis=1)
    return np.asarray((top[:, -1] - top[:, -2]) / 2, np.float64)
