"""The contract of a network: a record that builds a body, and the methods of that body."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNIT_MEAN, UNIT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

Triple = tuple[float, float, float]


def whole_numbers(name: str, given: object, least: int = 1) -> tuple[int, ...]:
    """An option that is a list of whole numbers, such as the widths of layers.

    Raises
    ------
    ValueError
        It is no such list, is empty, or has a number below ``least``.
    """
    numbers = isinstance(given, list | tuple) and all(type(v) is int and v >= least for v in given)
    if not numbers or not given:
        raise ValueError(f"expected {name} to be a list of whole numbers from {least} up, but got {given!r}")
    assert isinstance(given, list | tuple)
    return tuple(given)


@dataclass(frozen=True)
class Tokens:
    """Where a vision transformer holds the tokens of an image.

    Attributes
    ----------
    layer : the last module whose output (n, prefix + h * w, d) reaches the prediction through all tokens.
    prefix : tokens before those of the image: class token, registers.
    grid : rows h and columns w of the image's tokens.
    class_token : whether the prediction is read from the first token; otherwise from the mean of the image's tokens.
    """

    layer: nn.Module
    prefix: int
    grid: tuple[int, int]
    class_token: bool


class Body(nn.Module, ABC):
    """A network in parts: images → maps → features → logits.

    A subclass implements :meth:`maps`, :meth:`embed` and :meth:`stages`, and sets :attr:`head`. Inputs are normalised
    images, float (n, 3, s, s).
    """

    head: nn.Linear
    """The last layer: (n, d) features to (n, k) logits."""

    pooled: bool
    """Whether :meth:`embed` is plain average pooling (dropout aside), so that ``head`` applied to the maps is CAM."""

    batch: int = 16
    """Batch size for inference; smaller for networks that need much memory per image."""

    spatial: bool = True
    """Whether :meth:`maps` is (n, c, h, w). False for vision transformers, which have tokens."""

    tokens: Tokens | None = None
    """Where the tokens are, for vision transformers that are known; ``None`` for all other networks."""

    centred: bool = False
    """Whether :meth:`embed` subtracts each channel's mean over positions. The mean gradient of a channel is then zero,
    so Grad-CAM has no weights."""

    any_size: bool = False
    """Whether :meth:`embed` takes maps of any size, as plain pooling does."""

    leaves_out: tuple[str, ...] = ()
    """Prefixes of names in a full weights file that this network, with its options, does not have."""

    kinds: tuple[int, ...] = ()
    """Widths of the kinds of features in an embedding, in order; empty if all features are of one kind."""

    @abstractmethod
    def maps(self, x: Tensor) -> Tensor:
        """(n, c, h, w) activations of the last convolutional layer, which Grad-CAM uses."""

    @abstractmethod
    def embed(self, maps: Tensor) -> Tensor:
        """(n, d) features, the input of :attr:`head`."""

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """The stages of the body from input to output, without the head. Fine-tuning trains the last N of them."""

    def backbone(self) -> nn.Module:
        """The module whose parameter names weight files use; by default the body itself."""
        return self

    @property
    @abstractmethod
    def cam_layer(self) -> nn.Module:
        """The module whose output is :meth:`maps`, for attributions that hook layers."""

    @final
    def features(self, x: Tensor) -> Tensor:
        """(n, d) features of normalised images."""
        return self.embed(self.maps(x))

    @final
    def features_of_quarters(self, x: Tensor) -> Tensor:
        """(n, 5, d): features of normalised images, and of the four quarters of their maps.

        Raises
        ------
        ValueError
            The features of this network depend on position, or its maps are too small to be quartered.
        """
        maps = self.maps(x)
        if not (self.spatial and (self.pooled or self.any_size)):
            raise ValueError("its features depend on position in the image")
        height, width = maps.shape[2] // 2, maps.shape[3] // 2
        if not height or not width:
            raise ValueError("its maps are too small to be divided into quarters")
        halves = [maps[:, :, :height], maps[:, :, height:]]
        quarters = [part for half in halves for part in (half[..., :width], half[..., width:])]
        return torch.stack([self.embed(part) for part in (maps, *quarters)], dim=1)

    @final  # type: ignore[misc]
    def forward(self, x: Tensor) -> Tensor:
        """(n, k) logits of normalised images."""
        logits: Tensor = self.head(self.features(x))
        return logits


@dataclass(frozen=True)
class Network:
    """How to build a network, and the facts about it.

    Attributes
    ----------
    build : ``(classes, size, options) -> Body`` with random weights; ``classes`` k >= 2, ``size`` the network input's
        side.
    preprocessing : default preprocessing.
    mean, std : of pixels in [0, 1], for normalisation.
    paper : the publication that describes it.
    licence : of its published weights; ``None`` if there are none.
    timm_name : the timm model whose weights (from the Hub or a file) fit; ``None`` for facevalue's own networks.
    ignores : prefixes of names in a full weights file that are not loaded (its classifier, for example).
    options : settings that ``build`` takes, with their defaults.
    conventions : by name, ``mean``, ``std`` and ``options`` for weights trained in another framework
        (``tensorflow``: 'same' padding and pixels scaled to [-1, 1]).
    known_weights : convention names of published weight files, by SHA-256.
    """

    name: str
    build: Callable[[int, int, Mapping[str, Any]], Body]
    preprocessing: Preprocessing
    paper: str
    mean: Triple = UNIT_MEAN
    std: Triple = UNIT_STD
    licence: str | None = None
    timm_name: str | None = None
    ignores: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    known_weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Convention:
    """Normalisation and options that a family of weight files needs."""

    mean: Triple
    std: Triple
    options: Mapping[str, Any] = field(default_factory=dict)


def count_parameters(module: nn.Module) -> int:
    """Number of parameters, trainable or frozen; buffers (batch-norm statistics) are not counted."""
    return sum(p.numel() for p in module.parameters())


def new_head(features: int, classes: int) -> nn.Linear:
    """A last layer with PyTorch's initialisation. All bodies use this function, so all heads start the same way."""
    return nn.Linear(features, classes)


def normalise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(x - mean) / std over channels; ``mean`` and ``std`` are (1, 3, 1, 1)."""
    return torch.sub(x, mean) / std
