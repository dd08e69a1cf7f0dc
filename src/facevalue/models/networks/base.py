"""What a network is: a record that builds a body, and the body's contract."""

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
        It is not, is empty, or one of them is below ``least``.
    """
    numbers = isinstance(given, list | tuple) and all(type(v) is int and v >= least for v in given)
    if not numbers or not given:
        raise ValueError(f"expected {name} to be a list of whole numbers from {least} up, but got {given!r}")
    assert isinstance(given, list | tuple)
    return tuple(given)


class Body(nn.Module, ABC):
    """A network as facevalue sees it: images → maps → features → logits.

    A subclass writes :meth:`maps`, :meth:`embed`, :meth:`stages` and sets :attr:`head`. Inputs are normalised
    images, float (n, 3, s, s).
    """

    head: nn.Linear
    """The last layer: (n, d) features to (n, k) logits."""

    pooled: bool
    """Whether :meth:`embed` is plain average pooling (dropout aside), so that ``head`` applied to the maps is CAM."""

    batch: int = 16
    """Images that may go through it at once; fewer where one takes much memory."""

    spatial: bool = True
    """Whether :meth:`maps` is (n, c, h, w); not so for vision transformers, which have tokens."""

    any_size: bool = False
    """Whether :meth:`embed` takes maps of any size, as it does where it is plain pooling."""

    leaves_out: tuple[str, ...] = ()
    """Prefixes of names in a full weights file that this network, with the options it has, is without."""

    kinds: tuple[int, ...] = ()
    """Widths of the kinds of features that lie beside each other in an embedding; empty where all are of one."""

    @abstractmethod
    def maps(self, x: Tensor) -> Tensor:
        """(n, c, h, w) activations of the last convolutional layer, which Grad-CAM looks at."""

    @abstractmethod
    def embed(self, maps: Tensor) -> Tensor:
        """(n, d) features, the input of :attr:`head`."""

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """The body without its head in stages from input to output; fine-tuning thaws the last N of them."""

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
            The features of this network say where things are, or its maps have no quarters.
        """
        maps = self.maps(x)
        if not (self.spatial and (self.pooled or self.any_size)):
            raise ValueError("its features say where things are")
        height, width = maps.shape[2] // 2, maps.shape[3] // 2
        if not height or not width:
            raise ValueError("its maps are of one place")
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
    """A record: how to build a network, and what is known of it.

    Attributes
    ----------
    build : ``(classes, size, options) -> Body`` with random weights; ``classes`` k >= 2, ``size`` the network input's
        side.
    preprocessing : default preprocessing.
    mean, std : of pixels in [0, 1].
    paper : where it was described.
    licence : of its published weights, ``None`` where there are none.
    timm_name : the timm model whose weights (from the Hub or a file) fit, ``None`` for networks of our own.
    ignores : prefixes of names in a full weights file that this network leaves out (its classifier, say).
    options : settings that ``build`` knows, with their defaults.
    conventions : named sets of changes to ``mean``, ``std`` and ``options`` for weights made elsewhere
        (``tensorflow``: 'same' padding and pixels scaled to [-1, 1]).
    known_weights : SHA-256 of published weight files whose convention is known, by convention name.
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
    """How a family of weight files wants its input."""

    mean: Triple
    std: Triple
    options: Mapping[str, Any] = field(default_factory=dict)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable and frozen parameters; buffers (batch-norm statistics) do not count."""
    return sum(p.numel() for p in module.parameters())


def new_head(features: int, classes: int) -> nn.Linear:
    """A last layer with PyTorch's initialisation. A place of its own so that every body makes it alike."""
    return nn.Linear(features, classes)


def normalise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(x - mean) / std over channels; ``mean`` and ``std`` are (1, 3, 1, 1)."""
    return torch.sub(x, mean) / std
