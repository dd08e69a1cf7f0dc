"""Features of images: computed once by a classifier, then used to train heads, to calibrate and to evaluate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.graphs.engines import Engine, opened
from facevalue.models.graphs.record import Recordable, recorded
from facevalue.models.novelty import NoveltyScore
from facevalue.models.weight_sharing import sharing_weights
from facevalue.support import machine, progress

MANY = 200
"""Number of images from which it is faster to record a graph for an engine than to stay with torch."""

COMPARED = 4
"""Number of images on which an engine is compared with torch before it is used."""

CONTRASTS = torch.tensor([[1, -1, 0, 0], [1, 1, -2, 0], [1, 1, 1, -3]]) / torch.tensor([2, 6, 12]).sqrt()[:, None]
"""(3, 4) orthonormal differences between four quarters (Helmert).

For every linear score, the sum of their squares is that of the four quarters' deviations from their mean.
"""

_NUMBERS = 2**24  # numbers of features that a novelty score takes at once

Change = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.uint8]]
"""Takes network inputs (b, s, s, 3) and their positions in the dataset; returns changed network inputs."""


@dataclass(frozen=True, eq=False)
class Features:
    """The activations before a network's last layer, one row per image.

    Attributes
    ----------
    x : (n, d) float32 features.
    y : (n,) int64 labels.
    contrasts : (n, 3, d) differences between the features of the images' quarters, if requested; see :data:`CONTRASTS`.
    changes : (m, d) features of changed copies, which should get the scores of their originals, minus those of the
        originals.
    originals : (m,) row of the original of each of the ``changes``.
    """

    x: Tensor
    y: NDArray[np.int64]
    contrasts: Tensor | None = None
    changes: Tensor | None = None
    originals: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def logits(self, classifier: Classifier) -> Tensor:
        """(n, k) float32 logits of the classifier's last layer, before the temperature."""
        head = classifier.body.head
        with torch.inference_mode():
            logits: Tensor = head(self.x.to(head.weight.device)).float().cpu()
        return logits

    def probabilities(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n, k) probabilities, calibrated by the classifier's temperature."""
        calibrated: NDArray[np.float64] = classifier.calibrated(self.logits(classifier).double()).numpy()
        return calibrated

    def novelty(self, classifier: Classifier, score: NoveltyScore | None = None) -> NDArray[np.float64]:
        """(n,) novelty by the classifier's score, or by another one."""
        score = classifier.novelty_score if score is None else score
        parts = []
        with torch.inference_mode():
            for part in torch.split(self.x, max(16, min(1024, _NUMBERS // self.x.shape[1]))):
                logits = classifier.body.head(part)
                parts.append(score(part, logits, classifier.decide(logits)).double())
        joined: NDArray[np.float64] = torch.cat(parts).numpy() if parts else np.empty(0)
        return joined

    def rows(self, start: int, end: int | None = None) -> Features:
        """The features and labels of these rows, without differences."""
        return Features(self.x[start:end], self.y[start:end])

    def alone(self) -> Features:
        """These rows without differences, in memory of their own: that of a larger tensor can then be freed."""
        return Features(self.x.clone(), self.y)

    def joined(self, *others: Features) -> Features:
        """These rows followed by those of ``others``, which must have no ``changes``.

        Rows that follow each other in memory already are not copied.
        """
        if not others:
            return self
        parts = (self, *others)
        contrasts = [part.contrasts for part in parts if part.contrasts is not None]
        return replace(
            self,
            x=_joined([part.x for part in parts]),
            y=np.concatenate([part.y for part in parts]),
            contrasts=_joined(contrasts) if contrasts else None,
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all parts: one view if they lie in one tensor one after the other, else a copy."""
    first, place = parts[0], parts[0].storage_offset()
    for part in parts:
        here = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not here or part.stride() != first.stride() or part.storage_offset() != place:
            return torch.cat(list(parts))
        place += len(part) * part.stride(0)
    return first.as_strided((sum(map(len, parts)), *first.shape[1:]), first.stride())


def to_tensor(pixels: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """(n, s, s, 3) uint8 to (n, 3, s, s) float32 in [0, 1], channels last in memory (faster for convolutions)."""
    moved = torch.from_numpy(pixels)
    if torch.device(device).type == "cuda":  # from pinned memory the copy does not hold up the processor
        moved = moved.pin_memory()
    return moved.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def to_pixels(x: Tensor) -> NDArray[np.uint8]:
    """(n, 3, s, s) to (n, s, s, 3) uint8, clipped to [0, 1] and rounded: the inverse of :func:`to_tensor`."""
    pixels: NDArray[np.uint8] = x.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return pixels


class _Features(Recordable):
    """``pixels`` (n, s, s, 3) uint8 → ``features`` (n, d), or (n, 5, d) with ``quarters``."""

    def __init__(self, classifier: Classifier, quarters: bool) -> None:
        super().__init__()
        self.classifier, self.quarters = classifier, quarters

    def forward(self, pixels: Tensor) -> Tensor:
        """The features."""
        return _features(self.classifier, pixels.permute(0, 3, 1, 2).to(torch.float32) / 255, self.quarters)

    @property
    def outputs(self) -> list[str]:
        """The name of the only output."""
        return ["features"]


class Extractor:
    """Computes the features of one classifier for any number of splits; records its graph at most once.

    On the CPU, large datasets go through an engine (:mod:`facevalue.models.graphs.engines`), which is several times as
    fast as torch. Its features of the first images are compared with torch's; if they differ, torch computes
    everything. With ``quarters`` the features of an image are (5, d): its own, and those of the four quarters of its
    maps.

    Features do not depend on the last layer, so an extractor also serves classifiers that differ only there.

    Parameters
    ----------
    expected : number of images that it will be asked for in all, if that is known. Then small datasets go through the
        engine too, from the first image on.
    """

    def __init__(
        self,
        classifier: Classifier,
        engine: Literal["auto", "torch"] = "auto",
        quarters: bool = False,
        expected: int = 0,
    ) -> None:
        self._classifier, self._quarters = classifier, quarters
        self._of_batch: Callable[[NDArray[np.uint8]], Tensor] | None = None  # torch, where no engine is used
        self._may_record = engine == "auto" and classifier.mean.device.type == "cpu"
        self._expected = expected
        self._quick: Engine | None = None
        self._torch_computed = False
        self._held: list[tuple[ImageDataset, Tensor]] = []

    @property
    def computed_by(self) -> str:
        """The engines that have computed features so far, with their versions; for the card."""
        names = [f"torch {version('torch')}"] if self._torch_computed else []
        return ", ".join([*names, *([] if self._quick is None else [self._quick.name])])

    @property
    def preprocessing(self) -> Preprocessing:
        """Of the classifier."""
        return self._classifier.card.preprocessing

    def features(self, dataset: ImageDataset, what: str = "", change: Change | None = None) -> Tensor:
        """(n, d) features in eval mode, of the images after ``change``."""
        batches = (pixels for pixels, _ in dataset.batches(self._classifier.body.batch))
        return self._over(batches, len(dataset), what or f"computing features of {dataset.name}", change)

    def features_once(self, dataset: ImageDataset, what: str = "") -> Tensor:
        """As :meth:`features`; computed at the first call for a dataset, then kept."""
        for known, features in self._held:
            if known is dataset:
                return features
        features = self.features(dataset, what)
        self._held.append((dataset, features))
        return features

    def of_inputs(self, inputs: Iterator[NDArray[np.uint8]], n: int, what: str) -> Tensor:
        """(n, d) features in eval mode, of ``n`` network inputs (s, s, 3) uint8 RGB one by one."""
        size = self._classifier.body.batch
        batches = (np.stack(list(islice(inputs, size))) for _ in range(0, n, size))
        return self._over(batches, n, what)

    def _over(
        self,
        batches: Iterable[NDArray[np.uint8]],
        n: int,
        what: str,
        change: Change | None = None,
        kept: Callable[[Tensor], Tensor] = lambda features: features,
        into: Tensor | None = None,
    ) -> Tensor:
        """What ``kept`` makes of the features of each batch, in ``into`` if that is given."""
        with progress.work(what, n) as work:
            done = 0
            for pixels in batches:
                if change is not None:
                    pixels = change(pixels, np.arange(done, done + len(pixels)))
                if self._may_record and max(n, self._expected) >= MANY:
                    self._quick, self._may_record = self._engine(pixels[:COMPARED]), False
                part = kept(self._of(pixels))
                # In place: parts that are joined afterwards would take twice the memory.
                into = torch.empty(n, *part.shape[1:]) if into is None else into
                into[done : done + len(pixels)] = part
                done += len(pixels)
                work.advance(len(pixels))
        assert into is not None, "there is no image"
        return into

    def _of(self, pixels: NDArray[np.uint8]) -> Tensor:
        if self._quick is not None:  # once recorded, it is used for small datasets too
            return torch.from_numpy(self._quick.run(pixels))
        self._torch_computed = True
        if self._of_batch is None:
            self._of_batch = _in_torch(self._classifier, self._quarters)
        return self._of_batch(pixels)

    def _engine(self, pixels: NDArray[np.uint8]) -> Engine | None:
        """The engine for the recorded graph; ``None`` if there is none, or if it differs from torch on these images."""
        in_torch = _in_torch(self._classifier, self._quarters)
        # One by one, and before there is an engine: of wide networks the maps of a batch take a gigabyte.
        expected = torch.cat([in_torch(pixels[i : i + 1]) for i in range(len(pixels))])
        engine = _recorded(self._classifier, self._quarters)
        if engine is None:
            return None
        got = torch.from_numpy(engine.run(pixels))
        machine.trim_memory()  # the compiler's
        if not expected.isfinite().all():  # a broken network, which later checks report
            return None
        near = float(1e-3 * expected.abs().max())
        if torch.allclose(got, expected, rtol=1e-3, atol=near):
            return engine
        progress.note(f"the features of {engine.name} differ from torch's, so torch computes them, more slowly")
        return None

    def of(
        self, dataset: ImageDataset, what: str = "", change: Change | None = None, into: Tensor | None = None
    ) -> Features:
        """Features with their labels, and the contrasts of their quarters if this extractor computes them.

        Parameters
        ----------
        change : applied to the images first.
        into : (n, d), or (n, 4, d) with contrasts: where the features are put.
        """
        batches = (pixels for pixels, _ in dataset.batches(self._classifier.body.batch))
        kept = _with_contrasts if self._quarters else lambda features: features
        x = self._over(batches, len(dataset), what or f"computing features of {dataset.name}", change, kept, into)
        return Features(x[:, 0], dataset.labels, x[:, 1:]) if self._quarters else Features(x, dataset.labels)


def _with_contrasts(features: Tensor) -> Tensor:
    """(n, 5, d) features of images and their quarters, to (n, 4, d) features and contrasts."""
    return torch.cat([features[:, :1], CONTRASTS @ features[:, 1:]], dim=1)


def _features(classifier: Classifier, x: Tensor, quarters: bool) -> Tensor:
    return classifier.features_of_quarters(x) if quarters else classifier.features(x)


def _in_torch(classifier: Classifier, quarters: bool) -> Callable[[NDArray[np.uint8]], Tensor]:
    # Channels last is faster on a CPU, and the caller's model must keep its memory format and mode.
    model = sharing_weights(classifier).eval().requires_grad_(False)
    model.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device = model.mean.device

    def features(pixels: NDArray[np.uint8]) -> Tensor:
        with torch.inference_mode():
            return _features(model, to_tensor(pixels, device), quarters).float().cpu()

    return features


def _recorded(classifier: Classifier, quarters: bool) -> Engine | None:
    """An engine with the recorded graph; ``None`` if the network cannot be recorded."""
    model = sharing_weights(classifier).eval().requires_grad_(False)
    try:
        graph = recorded(_Features(model, quarters), model.card.preprocessing.size).SerializeToString()
        machine.trim_memory()
        return opened(graph)
    except Exception as error:  # each unsupported operator raises its own type; torch computes the same
        progress.note(
            f"{model.card.network.name} cannot be recorded for a faster engine ({type(error).__name__}); "
            "torch computes the same, more slowly"
        )
        return None


def features_of(
    classifier: Classifier, dataset: ImageDataset, what: str = "", engine: Literal["auto", "torch"] = "auto"
) -> Features:
    """Features of one split. For several splits use one :class:`Extractor`."""
    return Extractor(classifier, engine).of(dataset, what)
