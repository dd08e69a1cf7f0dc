"""Compare a runtime with the model: from file bytes to label, abstention and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.errors import ImageError, ParityError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import ParityFigures
from facevalue.images.parity import ParityFile
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.support import machine, progress
from facevalue.support.formats import percent

TOLERANCE = 1e-4
"""Largest difference of a probability at full precision.

Engines add float32 products in different orders: logits differ by about 1e-6 of their size, probabilities by at most a
quarter of the logits' difference over the temperature. This leaves room for a hundred layers and low temperatures, and
is too small to matter to a user.
"""

NOVELTY_TOLERANCE = 1e-2
"""Novelty sums squares of features divided by small variances, and so has about two digits less than a probability."""

ACCURACY_LOST = 0.005
"""Most accuracy that a file of lower precision may lose."""

BATCHES = (1, 2, 3, 5)
"""Sizes of the first batches, so that a graph with a fixed batch size fails."""

_BATCH = 8

Floats = NDArray[np.float64]
Run = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.floating]]]
Read = Callable[[ImageInput], NDArray[np.uint8]]


@dataclass(frozen=True)
class _Input:
    """One image as the model and as the runtime read it; ``None`` if the runtime could not."""

    kind: str
    model: NDArray[np.uint8]
    runtime: NDArray[np.uint8] | None

    @property
    def difference(self) -> int:
        """Largest difference of a value, in levels of 255."""
        if self.runtime is None or self.runtime.shape != self.model.shape:
            return 255
        return int(np.abs(self.model.astype(np.int16) - self.runtime).max())


def figures_of(
    model: Classifier,
    run: Run,
    dataset: ImageDataset,
    drawn: Sequence[ParityFile] = (),
    *,
    exact: bool = True,
    read: Read | None = None,
) -> ParityFigures:
    """Answer the images with the model and with a runtime, and count what differs.

    Parameters
    ----------
    model : on the CPU, in eval mode; its memory format is changed.
    run : the runtime, as in :class:`facevalue.export.base.Runtime`.
    dataset : labelled images.
    drawn : more files, without labels; those that facevalue cannot read here are left out.
    exact : if an answer is decided by less than the tolerance, both answers count as equal (``ties`` counts these).
    read : how the runtime reads images. Where its network input differs, this is counted, and both answer the model's.

    Raises
    ------
    ParityError
        An image of ``dataset`` cannot be read any more, or the runtime's output has another shape.
    """
    model.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    preprocessing = model.card.preprocessing
    named: list[tuple[str, ImageInput]] = [
        *zip(dataset.names, dataset.images, strict=True),
        *((file.kind, file.data) for file in drawn),
    ]

    def input_of(place: int) -> _Input | None:
        name, image = named[place]
        kind = name if place >= len(dataset) else f"images of {dataset.name}"
        try:
            pixels = preprocessing.of(image)
        except ImageError as error:
            if place >= len(dataset):
                return None
            raise ParityError(f"the exported file could not be compared: {name} {error}") from error
        if read is None:
            return _Input(kind, pixels, pixels)
        try:
            return _Input(kind, pixels, read(image))
        except Exception:  # each reader has its own errors; the file counts as read otherwise
            return _Input(kind, pixels, None)

    expected: list[tuple[Floats, Floats]] = []
    got: list[tuple[Floats, Floats | None]] = []
    levels: dict[str, int] = {}
    differing = unread = 0
    with progress.work("comparing with the model", len(named)) as work:
        inputs = machine.in_order(input_of, range(len(named)), ahead=4 * _BATCH)
        for batch in _batches(inputs):
            readable = [one for one in batch if one is not None]
            unread += len(batch) - len(readable)
            for one in readable:
                if one.difference:
                    differing += 1
                    levels[one.kind] = max(levels.get(one.kind, 0), one.difference)
            if readable:
                pixels = np.stack([one.model for one in readable])
                expected.append(_answers_of_model(model, pixels))
                got.append(_answers_of(run, model.card, pixels))
            work.advance(len(batch))
    figures = _counted(model.card, expected, got, dataset.labels, exact)
    return figures.changed(
        n=len(dataset),
        drawn=len(drawn) - unread,
        pixel_differences=differing,
        max_pixel_difference=max(levels.values(), default=0),
        warnings=_findings(levels),
    )


def problem_of(figures: ParityFigures) -> str | None:
    """Why a file with these figures must not be used, in one line; ``None`` if it may be."""
    images = f"{figures.n + figures.drawn} images"
    if figures.precision != "fp32":
        lost = figures.accuracy - figures.runtime_accuracy
        if lost <= ACCURACY_LOST + 1e-9 and np.isfinite(figures.max_probability_difference):
            return None
        return (
            f"on {figures.n} labelled images its accuracy is {percent(figures.runtime_accuracy)} and the model's "
            f"{percent(figures.accuracy)}; at most {100 * ACCURACY_LOST:g} points may be lost. "
            "More labelled images (`images`) measure it more finely"
        )
    if figures.max_novelty_difference is not None and not figures.max_novelty_difference <= NOVELTY_TOLERANCE:
        return (
            f"on {images} its novelty differs from the model's by up to {figures.max_novelty_difference:.2g} of "
            "the limit or of its value"
        )
    if figures.answers_changed or not figures.max_probability_difference <= TOLERANCE:
        return (
            f"on {images} its labels agree with the model's on {percent(figures.label_agreement)}, "
            f"{figures.answers_changed} labels, abstentions or reasons differ, and its probabilities differ by up to "
            f"{figures.max_probability_difference:.2g}; all answers should agree, and probabilities to {TOLERANCE:g}"
        )
    return None


def _batches(inputs: Iterator[_Input | None]) -> Iterator[list[_Input | None]]:
    sizes = iter(BATCHES)
    while batch := list(islice(inputs, next(sizes, _BATCH))):
        yield batch


def _answers_of_model(model: Classifier, pixels: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    answers = model.answers(pixels, heat=False)
    return np.array([a.probabilities for a in answers], np.float64), np.array([a.novelty for a in answers])


def _answers_of(run: Run, card: ModelCard, pixels: NDArray[np.uint8]) -> tuple[Floats, Floats | None]:
    outputs = run(pixels)
    p, novelty = np.asarray(outputs["probabilities"], np.float64), outputs.get("novelty")
    if p.shape != (len(pixels), len(card.classes)) or (novelty is not None and novelty.shape != (len(pixels),)):
        raise ParityError(
            f"the exported file could not be compared: Expected probabilities ({len(pixels)}, {len(card.classes)}) and "
            f"novelty ({len(pixels)},), but got {p.shape} and {None if novelty is None else novelty.shape}"
        )
    return p, None if novelty is None else np.asarray(novelty, np.float64)


def _counted(
    card: ModelCard,
    expected: Sequence[tuple[Floats, Floats]],
    got: Sequence[tuple[Floats, Floats | None]],
    labels: NDArray[np.int64],
    exact: bool,
) -> ParityFigures:
    """The figures that the answers alone give."""
    p, q = np.concatenate([a for a, _ in expected]), np.concatenate([a for a, _ in got])
    far = np.concatenate([b for _, b in expected])
    runtimes = [b for _, b in got if b is not None]
    compares_novelty = bool(runtimes) and card.abstention.novelty is not None
    far_too = np.concatenate(runtimes) if compares_novelty else far
    positive, limits = card.positive_index, card.abstention
    wanted, decided = (decision.decide(a, positive, card.threshold) for a in (p, q))
    rows = np.arange(len(p))
    masks = decision.abstentions(limits, p[rows, wanted], far)
    masks_too = decision.abstentions(limits, q[rows, decided], far_too)
    label_differs = wanted != decided
    reason_differs = {reason: masks[reason] != masks_too[reason] for reason in masks}
    excused = np.zeros(len(p), bool)
    if exact:
        label_tie = label_differs & (_margin(p, positive, card.threshold) <= TOLERANCE)
        unsure_tie = np.abs(p[rows, wanted] - limits.confidence) <= TOLERANCE
        novel_tie = np.abs(far / (limits.novelty or np.inf) - 1) <= NOVELTY_TOLERANCE
        label_differs &= ~label_tie
        # The other label has another probability, so its confidence is not comparable either.
        uncertain_tie = reason_differs["uncertain"] & (unsure_tie | label_tie)
        far_tie = reason_differs["novel"] & novel_tie
        reason_differs = {
            "uncertain": reason_differs["uncertain"] & ~uncertain_tie,
            "novel": reason_differs["novel"] & ~far_tie,
        }
        excused = label_tie | uncertain_tie | far_tie
    differs = label_differs | reason_differs["uncertain"] | reason_differs["novel"]
    away = np.abs(far - far_too) / (limits.novelty or 1)
    n = len(labels)
    return ParityFigures(
        labels_changed=int(label_differs.sum()),
        answers_changed=int(differs.sum()),
        ties=int(excused.sum()),
        label_agreement=float(1 - label_differs.mean()),
        max_probability_difference=float(np.abs(p - q).max()),
        # Novelty has no upper bound, so far from the training data the relative difference is compared.
        max_novelty_difference=(
            float((away / np.maximum(1, far / (limits.novelty or 1))).max()) if compares_novelty else None
        ),
        accuracy=float((wanted[:n] == labels).mean()),
        runtime_accuracy=float((decided[:n] == labels).mean()),
    )


def _margin(p: Floats, positive: int | None, threshold: float) -> Floats:
    """(n,) distance of each prediction from the decision threshold, in probability."""
    if positive is not None:
        return np.asarray(np.abs(p[:, positive] - threshold), np.float64)
    top = np.sort(p, axis=1)
    return np.asarray((top[:, -1] - top[:, -2]) / 2, np.float64)


_NAMED = 12  # kinds of files in a finding


def _findings(levels: Mapping[str, int]) -> tuple[Finding, ...]:
    """A finding if the runtime reads files otherwise than the model."""
    if not levels:
        return ()
    most = sorted(levels, key=lambda name: -levels[name])
    shown = ", ".join(f"{name} ({levels[name]} levels)" for name in most[:_NAMED])
    more = f", and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    return (finding("read-otherwise", f"the target reads these images otherwise: {shown}{more}", n=len(most)),)
