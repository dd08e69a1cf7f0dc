"""Compare a runtime with the model: from file bytes to label, abstention and reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.errors import DataError, ImageError, ParityError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import ParityFigures
from facevalue.images.parity import ParityFile
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.weight_sharing import sharing_weights
from facevalue.runtime.base import Answer
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

_HELD_BYTES = 2**29
"""Network inputs that take more memory than this are read again for every runtime."""

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Mapping[str, NDArray[np.floating]]]
Read = Callable[[ImageInput], Pixels]
_Item = tuple[str, ImageInput] | ParityFile  # a labelled image with its name, or a drawn file


class Reference:
    """A model's answers to images, computed once, to compare any number of runtimes with.

    Parameters
    ----------
    classifier : not changed.
    dataset : labelled images.
    drawn : more files, without labels; those that facevalue cannot read here are left out.

    Raises
    ------
    DataError
        There is no labelled image.
    ParityError
        An image of ``dataset`` cannot be read any more.
    """

    def __init__(self, classifier: Classifier, dataset: ImageDataset, drawn: Sequence[ParityFile] = ()) -> None:
        if not len(dataset):
            raise DataError(
                "an export needs images to measure its parity on, but there is none; give some with `images`"
            )
        self.model = sharing_weights(classifier).cpu().eval().requires_grad_(False)
        self.dataset = dataset
        # Of a model of faces, the network takes the crops.
        self._preprocessing = classifier.card.of_whole_images.preprocessing
        shown = list(dataset.shown())
        self._images = [*shown]
        self._kinds = [f"images of {dataset.name}"] * len(dataset)
        n, side = len(dataset) + len(drawn), self._preprocessing.size
        self._held: list[Pixels] | None = [] if n * 3 * side**2 <= _HELD_BYTES else None
        fast = sharing_weights(self.model)
        fast.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        answers: list[Answer] = []
        size = min(_BATCH, fast.body.batch)
        items: list[_Item] = [*zip(dataset.names, shown, strict=True), *drawn]
        machine.trim_memory()  # what training has freed
        with progress.work("asking the model", n) as work:
            inputs = machine.in_order(self._first_input, items, ahead=4 * _BATCH)
            while batch := list(islice(inputs, _BATCH)):
                for item, pixels in batch:
                    if pixels is not None and isinstance(item, ParityFile):
                        self._images.append(item.data)
                        self._kinds.append(item.kind)
                readable = [pixels for _, pixels in batch if pixels is not None]
                for start in range(0, len(readable), size):
                    answers.extend(fast.answers(np.stack(readable[start : start + size]), heat=False))
                if self._held is not None:
                    self._held.extend(readable)
                work.advance(len(batch))
        self.p = np.array([answer.probabilities for answer in answers], np.float64)
        self.novelty = np.array([answer.novelty for answer in answers], np.float64)

    def __len__(self) -> int:
        return len(self._images)

    def compared(self, run: Run, *, exact: bool = True, read: Read | None = None) -> ParityFigures:
        """Answer the images with a runtime, and count what differs.

        Parameters
        ----------
        run : the runtime, as in :class:`facevalue.export.base.Runtime`.
        exact : if an answer is decided by less than the tolerance, both answers count as equal (``ties`` counts these).
        read : how the runtime reads images. Where its network input differs, this is counted, and it answers to the
            model's.

        Raises
        ------
        ParityError
            The runtime's output has another shape.
        """
        p: list[Floats] = []
        novelty: list[Floats] = []
        levels: list[int] = []
        with progress.work("comparing", len(self)) as work:
            inputs = machine.in_order(lambda i: self._input(i, read), range(len(self)), ahead=4 * _BATCH)
            sizes = iter(BATCHES)
            while batch := list(islice(inputs, next(sizes, _BATCH))):
                outputs = run(np.stack([pixels for pixels, _ in batch]))
                _check_shapes(outputs, len(batch), self.p.shape[1])
                p.append(np.asarray(outputs["probabilities"], np.float64))
                if "novelty" in outputs:
                    novelty.append(np.asarray(outputs["novelty"], np.float64))
                levels.extend(level for _, level in batch)
                work.advance(len(batch))
        got = np.concatenate(p), np.concatenate(novelty) if novelty else None
        by_kind: dict[str, int] = {}
        for kind, level in zip(self._kinds, levels, strict=True):
            if level:
                by_kind[kind] = max(level, by_kind.get(kind, 0))
        n = len(self.dataset)
        return _counted(self.model.card, (self.p, self.novelty), got, self.dataset.labels, exact).changed(
            n=n,
            drawn=len(self) - n,
            pixel_differences=sum(level > 0 for level in levels),
            max_pixel_difference=max(levels),
            warnings=_findings(by_kind),
        )

    def _first_input(self, item: _Item) -> tuple[_Item, Pixels | None]:
        """An image with its network input; ``None`` for a drawn file that cannot be read here."""
        if isinstance(item, ParityFile):
            try:
                return item, self._preprocessing.of(item.data)
            except ImageError:
                return item, None
        name, image = item
        try:
            return item, self._preprocessing.of(image)
        except ImageError as error:
            raise ParityError(f"the exported file could not be compared: {name} {error}") from error

    def _input(self, place: int, read: Read | None) -> tuple[Pixels, int]:
        """The model's network input, and by how many levels of 255 the runtime's differs at most."""
        image = self._images[place]
        pixels = self._preprocessing.of(image) if self._held is None else self._held[place]
        if read is None:
            return pixels, 0
        try:
            own = read(image)
        except Exception:  # each reader has its own errors
            return pixels, 255
        return pixels, int(np.abs(pixels.astype(np.int16) - own).max()) if own.shape == pixels.shape else 255


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


def _check_shapes(outputs: Mapping[str, NDArray[np.floating]], n: int, k: int) -> None:
    wanted = {"probabilities": (n, k)} | ({"novelty": (n,)} if "novelty" in outputs else {})
    got = {name: outputs[name].shape for name in wanted if name in outputs}
    if got != wanted:
        raise ParityError(f"the exported file could not be compared: Expected outputs {wanted}, but got {got}")


def _counted(
    card: ModelCard,
    expected: tuple[Floats, Floats],
    got: tuple[Floats, Floats | None],
    labels: NDArray[np.int64],
    exact: bool,
) -> ParityFigures:
    """The figures that the answers alone give."""
    (p, far), (q, runtimes) = expected, got
    compares_novelty = runtimes is not None and card.abstention.novelty is not None
    far_too = runtimes if compares_novelty and runtimes is not None else far
    positive, limits = card.positive_index, card.abstention
    wanted, decided = (decision.decide(a, positive, card.threshold) for a in (p, q))
    rows = np.arange(len(p))
    masks = decision.abstentions(limits, p[rows, wanted], far, wanted == positive)
    masks_too = decision.abstentions(limits, q[rows, decided], far_too, decided == positive)
    label_differs = wanted != decided
    reason_differs = {reason: masks[reason] != masks_too[reason] for reason in masks}
    excused = np.zeros(len(p), bool)
    if exact:
        label_tie = label_differs & (_margin(p, positive, card.threshold) <= TOLERANCE)
        unsure_tie = np.abs(p[rows, wanted] - decision.least(limits, wanted == positive)) <= TOLERANCE
        novel_tie = np.abs(far / (limits.novelty or np.inf) - 1) <= NOVELTY_TOLERANCE
        label_differs &= ~label_tie
        # The other label has another probability, so its confidence is not comparable either.
        uncertain_tie = reason_differs["uncertain"] & (unsure_tie | label_tie)
        far_tie = reason_differs["novel"] & novel_tie
        source_tie = np.abs(far / (limits.source or np.inf) - 1) <= NOVELTY_TOLERANCE
        unknown_tie = reason_differs.get("unknown_source", np.zeros(len(p), bool)) & source_tie
        reason_differs = {
            "uncertain": reason_differs["uncertain"] & ~uncertain_tie,
            "novel": reason_differs["novel"] & ~far_tie,
            "unknown_source": reason_differs.get("unknown_source", np.zeros(len(p), bool)) & ~unknown_tie,
        }
        excused = label_tie | uncertain_tie | far_tie | unknown_tie
    differs = np.logical_or.reduce([label_differs, *reason_differs.values()])
    # Novelty may be relative to the predicted class, so it is compared where that is the same.
    away = np.abs(far - far_too) / (limits.novelty or 1) * (wanted == decided)
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
