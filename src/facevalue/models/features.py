"""A classifier's outputs over images: computed once, used for calibration and evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Outputs:
    """One row per image, in the images' order.

    Attributes
    ----------
    features : (n, d) float32, before the last layer.
    logits : (n, k) float32, before the temperature.
    labels : (n,) int64.
    """

    features: Tensor
    logits: Tensor
    labels: NDArray[np.int64]

    def probabilities(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n, k), calibrated by the classifier's temperature."""
        calibrated: NDArray[np.float64] = classifier.calibrated(self.logits.double()).numpy()
        return calibrated

    def novelty(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n,) distances from the training data."""
        with torch.inference_mode():
            parts = [classifier.novelty(part).double() for part in torch.split(self.features, 1024)]
        joined: NDArray[np.float64] = torch.cat(parts).numpy()
        return joined


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

    def outputs(self, dataset: ImageDataset, what: str = "") -> Outputs:
        """Outputs on images, decoded and computed in batches."""
        return from_features(self._classifier, self.features(dataset, what), dataset.labels)


def _features(classifier: Classifier, x: Tensor, quarters: bool) -> Tensor:
    return classifier.features_of_quarters(x) if quarters else classifier.features(x)


def _in_torch(classifier: Classifier, quarters: bool) -> Callable[[NDArray[np.uint8]], Tensor]:
    model = classifier.eval()
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
    except Exception:  # a recorder fails in as many ways as there are operators; torch computes the same
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.threads()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda pixels: torch.from_numpy(session.run(["features"], {"pixels": pixels})[0])


def from_features(classifier: Classifier, features: Tensor, labels: NDArray[np.int64]) -> Outputs:
    """Outputs where the features are known already."""
    with torch.inference_mode():
        logits = classifier.body.head(features.to(classifier.body.head.weight.device)).float().cpu()
    return Outputs(features, logits, labels)


def outputs_of(
    classifier: Classifier, dataset: ImageDataset, what: str = "", engine: Literal["auto", "torch"] = "auto"
) -> Outputs:
    """Outputs on one split; :class:`Extractor` for several."""
    return Extractor(classifier, engine).outputs(dataset, what)
