"""The base class of exporters: a subclass writes a file, the base class measures its parity with the model."""

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
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import ExportReport
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.features import features_of
from facevalue.support import files, progress
from facevalue.support.formats import percent
from facevalue.types import Prediction

BATCHES = (1, 2, 3, 5)
"""Sizes of the first batches for the parity measurement, so that a graph with a fixed batch size fails."""


class Exporter(ABC):
    """Base class of an export target. A subclass implements :meth:`write` and :meth:`run`.

    Attributes
    ----------
    name : the target, as in ``--to``.
    precision : number format in the file.
    tolerance : largest allowed difference of a calibrated probability from the model's.
    takes_faces : whether the target can be used for a model of faces: its user is told to look for faces first, as the
        card's ``gate`` says, and gets the face detector. Others refuse such a model.
    """

    name: ClassVar[str]
    precision: ClassVar[str] = "fp32"
    takes_faces: ClassVar[bool] = False
    # Engines add float32 products in different orders: logits differ by about 1e-6 of their size, probabilities by
    # at most a quarter of the logits' difference over the temperature. 1e-4 leaves room for a hundred layers and
    # low temperatures, and is too small to matter to a user.
    tolerance: ClassVar[float] = 1e-4

    @abstractmethod
    def write(self, classifier: Classifier, path: Path) -> None:
        """Write the network, from pixels to probabilities, to ``path``. ``classifier`` is a CPU copy in eval mode."""

    @abstractmethod
    def run(
        self, card: ModelCard, path: Path, batches: Iterable[Sequence[tuple[str, ImageInput]]]
    ) -> Iterator[Prediction]:
        """Load the file with the target's own runtime, and predict named images batch by batch."""

    @final
    def __call__(self, classifier: Classifier, output: Path, dataset: ImageDataset, *, limit: int = 32) -> ExportReport:
        """Write ``output``, and measure its parity with ``classifier`` from file bytes to label.

        Parameters
        ----------
        classifier : not changed, including its device and mode.
        output : file to write; it is kept only if parity holds.
        dataset : images to compare on; at most ``limit`` of them, drawn evenly from the classes.

        Raises
        ------
        ParityError
            A label or a probability differs. Nothing is written, and an existing file at ``output`` is kept.
        DataError
            There is no image to compare on.
        """
        start = time.perf_counter()
        if not len(dataset):
            raise DataError(
                "an export needs images to measure its parity on, but there is none; give some with `images`"
            )
        chosen = dataset.some(limit)
        model = copy.deepcopy(classifier).cpu().eval().requires_grad_(False)
        with progress.within(f"export to {self.name}"), files.replacing_file(output) as partial:
            with progress.work("writing", 1, "files") as work:
                self.write(model, partial)
                work.advance()
            if not partial.stat().st_size:
                raise FaceValueError(f"{self.name} wrote nothing to {output}")
            # Of a model of faces, the network takes the crops; every runtime looks for faces before that. And the file
            # scores one network input: stable answers are made by the runtime around it.
            predicted = self.run(model.card.of_whole_images.with_inputs(0), partial, _in_batches(chosen))
            predictions = list(progress.track(predicted, "predicting", total=len(chosen)))
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
            warnings=_said_of(model.card),
        )


def _said_of(card: ModelCard) -> tuple[Finding, ...]:
    """What a program with only the exported file cannot do."""
    if card.inputs == 1:
        return ()
    text = (
        f"the file scores one network input; the model's answers are made from {card.inputs} versions of it, which "
        "facevalue's Python, command line and server score. A program with the file alone gets the probabilities of "
        "the image as it is, and does not abstain as unstable"
    )
    return (finding("export-scores-once", text, inputs=card.inputs),)


def _in_batches(dataset: ImageDataset) -> Iterator[Sequence[tuple[str, ImageInput]]]:
    """Batches of names and images, or of crops of faces."""
    named = list(zip(dataset.names, dataset.shown(), strict=True))
    start = 0
    for size in (*BATCHES, *[8] * len(named)):
        if start >= len(named):
            return
        yield named[start : start + size]
        start += size


def _compare(
    model: Classifier, dataset: ImageDataset, predictions: Sequence[Prediction], tolerance: float
) -> tuple[float, float]:
    """Share of labels that agree, and the largest difference of a probability.

    If the model's probability is within ``tolerance`` of the decision threshold, both labels count as agreeing.
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
        # Novelty has no upper bound, so far from the training data the relative difference is compared.
        away = np.abs(novelty - distance / card.abstention.novelty) / np.maximum(1, novelty)
        if not (away <= NOVELTY_TOLERANCE).all():
            raise ParityError(
                f"the exported file's novelty differs from the model's by up to {away.max():.2g} of its limit"
            )
    return float(agrees.mean()), difference


NOVELTY_TOLERANCE = 1e-2
"""Novelty sums squares of features divided by small variances, and so has about two digits less than a probability."""


def _margin(p: NDArray[np.float64], positive: int | None, threshold: float) -> NDArray[np.float64]:
    """(n,) distance of each prediction from the decision threshold, in probability."""
    if positive is not None:
        return np.asarray(np.abs(p[:, positive] - threshold), np.float64)
    top = np.sort(p, axis=1)
    return np.asarray((top[:, -1] - top[:, -2]) / 2, np.float64)
