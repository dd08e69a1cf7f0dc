"""Features of images by a classifier: computed once, used for training heads, calibration and evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.models.classifier import Classifier
from facevalue.models.graphs.record import Recordable, recorded
from facevalue.support import machine, progress

MANY = 200
"""From so many images on, recording a graph for ONNX Runtime pays."""

Change = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.uint8]]
"""Network inputs (b, s, s, 3) and their places among the images to network inputs."""


@dataclass(frozen=True, eq=False)
class Features:
    """What a network makes of images before its last layer, one row per image.

    Attributes
    ----------
    x : (n, d) float32 features.
    y : (n,) int64 labels.
    quarters : (n, 4, d) of the images' quarters, if asked for.
    copies : (m, d) of changed copies, which are to score as what they are copies of.
    originals : (m,) the rows that they are copies of.
    """

    x: Tensor
    y: NDArray[np.int64]
    quarters: Tensor | None = None
    copies: Tensor | None = None
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
        """(n, k), calibrated by the classifier's temperature."""
        calibrated: NDArray[np.float64] = classifier.calibrated(self.logits(classifier).double()).numpy()
        return calibrated

    def novelty(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n,) distances from the training data."""
        with torch.inference_mode():
            parts = [classifier.novelty(part).double() for part in torch.split(self.x, 1024)]
        joined: NDArray[np.float64] = torch.cat(parts).numpy()
        return joined

    def rows(self, start: int, end: int | None = None) -> Features:
        """The features and labels of these rows, without quarters and copies."""
        return Features(self.x[start:end], self.y[start:end])

    def joined(self, *others: Features) -> Features:
        """These rows, then others that have no copies."""
        if not others:
            return self
        parts = (self, *others)
        quarters = [part.quarters for part in parts if part.quarters is not None]
        return replace(
            self,
            x=torch.cat([part.x for part in parts]),
            y=np.concatenate([part.y for part in parts]),
            quarters=torch.cat(quarters) if quarters else None,
        )


def to_tensor(pixels: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """(n, s, s, 3) uint8 to (n, 3, s, s) float32 in [0, 1], channels last in memory (which convolutions like)."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)


def to_pixels(x: Tensor) -> NDArray[np.uint8]:
    """(n, 3, s, s) to (n, s, s, 3) uint8, the way back from :func:`to_input`: cut to [0, 1] and rounded."""
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
        """The one name."""
        return ["features"]


class Extractor:
    """Features of one classifier, for any number of splits: its graph is recorded at most once.

    Many images on the CPU go through ONNX Runtime, which is about twice as fast as torch there; the first batch is
    compared with torch's, and torch goes on alone where they differ. With ``quarters`` the features of an image are
    (5, d): its own, and those of the four quarters of its maps.
    """

    def __init__(
        self, classifier: Classifier, engine: Literal["auto", "torch"] = "auto", quarters: bool = False
    ) -> None:
        self._classifier, self._quarters = classifier, quarters
        self._of_batch = _in_torch(classifier, quarters)
        self._may_record = engine == "auto" and classifier.mean.device.type == "cpu"
        self._quick: Callable[[NDArray[np.uint8]], Tensor] | None = None

    def features(self, dataset: ImageDataset, what: str = "", change: Change | None = None) -> Tensor:
        """(n, d) features, in eval mode; of the images as ``change`` leaves them."""
        if self._may_record and len(dataset) >= MANY:
            self._quick, self._may_record = _in_onnxruntime(self._classifier, self._quarters), False
        quick = self._quick  # once there, few images go through it as well
        parts: list[Tensor] = []
        with progress.work(what or f"computing {dataset.name}", len(dataset)) as work:
            done = 0
            for pixels, _ in dataset.batches(self._classifier.body.batch):
                if change is not None:
                    pixels = change(pixels, np.arange(done, done + len(pixels)))
                done += len(pixels)
                if quick is not None and not parts:
                    expected, got = self._of_batch(pixels), quick(pixels)
                    near = float(1e-3 * expected.abs().max())
                    quick = quick if torch.allclose(got, expected, rtol=1e-3, atol=near) else None
                    parts.append(expected)
                else:
                    parts.append((quick or self._of_batch)(pixels))
                work.advance(len(pixels))
        return torch.cat(parts)

    def of(self, dataset: ImageDataset, what: str = "") -> Features:
        """Features with their labels, and those of the quarters where they are asked for."""
        x = self.features(dataset, what)
        return Features(x[:, 0], dataset.labels, x[:, 1:]) if self._quarters else Features(x, dataset.labels)


def _features(classifier: Classifier, x: Tensor, quarters: bool) -> Tensor:
    return classifier.features_of_quarters(x) if quarters else classifier.features(x)


def _in_torch(classifier: Classifier, quarters: bool) -> Callable[[NDArray[np.uint8]], Tensor]:
    # A copy: channels last is quicker on a CPU, and the caller's model keeps its memory format and mode.
    model = copy.deepcopy(classifier).eval().requires_grad_(False)
    model.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device = model.mean.device

    def features(pixels: NDArray[np.uint8]) -> Tensor:
        with torch.inference_mode():
            return _features(model, to_tensor(pixels, device), quarters).float().cpu()

    return features


def _in_onnxruntime(classifier: Classifier, quarters: bool) -> Callable[[NDArray[np.uint8]], Tensor] | None:
    """The same by ONNX Runtime; ``None`` where the network cannot be recorded."""
    import onnxruntime

    model = copy.deepcopy(classifier).eval().requires_grad_(False)
    try:
        graph = recorded(_Features(model, quarters), model.card.preprocessing.size)
    except Exception as error:  # a recorder fails in as many ways as there are operators; torch computes the same
        progress.note(
            f"{model.card.network.name} cannot be recorded for ONNX Runtime ({type(error).__name__}); "
            "torch computes the same, about half as fast"
        )
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.threads()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(["features"], {"pixels": pixels})[0])


def features_of(
    classifier: Classifier, dataset: ImageDataset, what: str = "", engine: Literal["auto", "torch"] = "auto"
) -> Features:
    """Features of one split; :class:`Extractor` for several."""
    return Extractor(classifier, engine).of(dataset, what)
