"""Draws the feature maps of every convolution and pooling layer as grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from facevalue.errors import UsageError
from facevalue.explanations.base import ExplainedImage, Explanation, Method, Written, as_batch
from facevalue.explanations.overlay import coloured, labelled, sheet
from facevalue.models.classifier import Classifier, frozen
from facevalue.support import files

MOST_CHANNELS = 64
_TILE = 72  # pixels: maps smaller than this are enlarged to at least it
_LARGEST_TILE = 128
_KINDS = frozenset(
    (
        "conv2d",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "lp_pool2d",
        "fractional_max_pool2d",
    )
)


@dataclass(frozen=True)
class LayerMaps:
    """The output of one layer for one image.

    Attributes
    ----------
    layer : dotted name in the network.
    kind : class of the layer (``Conv2d``), or name of the function if the network calls it without a layer.
    maps : (c, h, w) float32.
    """

    layer: str
    kind: str
    maps: NDArray[np.float32]


class _Recorder(TorchFunctionMode):
    """Records the output of every convolution and pooling function, with the module that calls it.

    It watches functions instead of modules, so it also finds pooling without a module (in Inception's branches).
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.found: list[LayerMaps] = []
        self._inside: list[tuple[str, nn.Module]] = []
        self._hooks = [
            hook
            for name, module in root.named_modules()
            for hook in (
                module.register_forward_pre_hook(self._entering(name)),
                module.register_forward_hook(self._leaving, always_call=True),
            )
        ]

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, args: Any) -> None:  # noqa: ARG001 - as torch calls it
            self._inside.append((name, module))

        return enter

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        self._inside.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        kind = getattr(func, "__name__", "")
        if kind in _KINDS and self._inside:
            maps = output[0] if isinstance(output, tuple) else output
            # Maps of one pixel show nothing: global pooling, squeeze-and-excitation.
            if isinstance(maps, Tensor) and maps.ndim == 4 and maps.shape[-1] * maps.shape[-2] > 1:
                name, module = self._inside[-1]
                own = not any(True for _ in module.children())
                found = maps[0].detach().float().cpu().numpy()
                self.found.append(LayerMaps(name, type(module).__name__ if own else kind, found))
        return output

    def remove(self) -> None:
        """Remove the hooks from the network."""
        for hook in self._hooks:
            hook.remove()


def layer_maps(classifier: Classifier, x: Tensor) -> list[LayerMaps]:
    """Outputs of every convolution and pooling layer, in order of execution.

    Outputs of a single pixel are skipped. Layers that run twice appear twice.

    Parameters
    ----------
    classifier : not changed.
    x : (1, 3, s, s) float in [0, 1].
    """
    with frozen(classifier), torch.no_grad():
        recorder = _Recorder(classifier.body)
        try:
            with recorder:
                classifier.logits(x)
        finally:
            recorder.remove()
    return recorder.found


def grid(found: LayerMaps) -> Image.Image:
    """A grid of up to :data:`MOST_CHANNELS` channels, each scaled from its own minimum to its own maximum."""
    channels, height, width = found.maps.shape
    shown = min(channels, MOST_CHANNELS)
    columns = 8 if shown > 16 else 4
    title = f"{found.layer}  {found.kind}  {channels} x {height} x {width}"
    note = "each map scaled on its own" + (f"; the first {shown} of {channels} channels" if shown < channels else "")
    return sheet([_tile(m) for m in found.maps[:shown]], columns, title, note, gap=4)


@final
class FeatureMaps(Method):
    """A grid of feature maps for every convolution and pooling layer (after Zeiler & Fergus 2014, arXiv:1311.2901)."""

    name: ClassVar[str] = "feature-maps"
    paper: ClassVar[str] = "Zeiler & Fergus 2014, arXiv:1311.2901"

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        return ()

    def write(self, classifier: Classifier, images: Sequence[ExplainedImage], folder: Path) -> Written:
        """Write a folder ``NAME-feature-maps`` per image: one numbered file per layer, and ``index.png``.

        The index shows the mean over the channels of each layer.
        """
        return Written(tuple(self._write_one(classifier, image, folder) for image in images))

    def _write_one(self, classifier: Classifier, image: ExplainedImage, folder: Path) -> tuple[Path, ...]:
        found = layer_maps(classifier, as_batch(classifier, [image]))
        if not found:
            raise UsageError(
                f"feature-maps needs convolution or pooling layers, and {classifier.card.network.name} has none"
            )
        place = folder / f"{image.name}-{self.name}"
        with files.replacing_folder(place) as partial:
            names = []
            for i, layer in enumerate(found, 1):
                name = f"{i:03}-{layer.layer.replace('/', '_')}-{layer.kind}.png"
                grid(layer).save(partial / name)
                names.append(name)
            _index(image, found).save(partial / "index.png")
        return (place / "index.png", *(place / name for name in names))


def _index(image: ExplainedImage, found: Sequence[LayerMaps]) -> Image.Image:
    original = Image.fromarray(image.pixels).resize((_LARGEST_TILE, _LARGEST_TILE), Image.Resampling.BICUBIC)
    panels = [labelled(original, "the image", "as the network sees it")]
    for i, layer in enumerate(found, 1):
        mean = _tile(layer.maps.mean(0)).resize((_LARGEST_TILE, _LARGEST_TILE), Image.Resampling.NEAREST)
        shape = " x ".join(map(str, layer.maps.shape))
        panels.append(labelled(mean, f"{i:03} {layer.kind}", shape))
    return sheet(
        panels, 8, f"{image.path.rpartition('/')[2]}: {len(found)} layers", "the mean over channels of each layer"
    )


def _tile(values: NDArray[np.float32]) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    image = Image.fromarray(coloured(scaled, "viridis"))
    longest = max(image.size)
    if longest > _LARGEST_TILE:
        factor = _LARGEST_TILE / longest
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        return image.resize(size, Image.Resampling.BOX)
    factor = -(-_TILE // longest)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
