"""Texture features from the first half of MobileNetV2: covariances between channels instead of their means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks import torchvision_ready
from facevalue.models.networks.base import Body, new_head
from facevalue.models.networks.mobilenetv2 import MOBILENETV2
from facevalue.models.networks.timm_body import top_stages

GROUPS = 5
"""Groups of blocks that can be levels. The two later ones respond to objects, and their receptive fields are large."""

INSIDE = range(1, GROUPS)
"""Groups whose last block has an expansion layer with a residual connection, so that it can be read inside."""

LEAST_SIDE = 4
"""Smallest side that all maps may be folded to: smaller maps have too little spatial detail for explanations."""

VIEWS: Mapping[str, tuple[int, ...]] = {"upright": (), "mirrored": (3,), "upside-down": (2,), "turned": (2, 3)}
"""The orientations in which an image can be read, by the flipped axes of (n, c, h, w); ``turned`` is 180 degrees."""

_EPSILON = 1e-8
"""Added to the trace, so that the square root is defined for an image of a single colour."""
_RIDGE = 1e-3
_ITERATIONS = 16
"""For 96 channels, the smallest eigenvalue that the ridge allows converges to a relative error of 1e-4. With more
channels the smallest eigenvalue is smaller and needs a few more iterations."""


@dataclass(frozen=True)
class Reading:
    """Which maps are read, at which zooms and in which orientations.

    Attributes
    ----------
    levels : groups of blocks whose output is read.
    zooms : factors by which the image is enlarged first; must include 1.
    views : names in :data:`VIEWS`; must include ``upright``.
    wide, wide_at : groups whose last block is also read inside, and the zooms at which that is done.

    Raises
    ------
    ValueError
        ``levels`` is empty or has a group outside the first five; a zoom is not between 1 and 8, or 1 is missing; a
        view is unknown, or ``upright`` is missing; ``wide`` names the first group, which has no such block; or
        ``wide_at`` has a number that is not in ``zooms``.
    """

    levels: Sequence[int]
    zooms: Sequence[float]
    views: Sequence[str]
    wide: Sequence[int]
    wide_at: Sequence[float]

    def __post_init__(self) -> None:
        for name, given, kind in (
            ("levels", self.levels, int),
            ("zooms", self.zooms, int | float),
            ("wide", self.wide, int),
            ("wide_at", self.wide_at, int | float),
        ):
            numbers = isinstance(given, list | tuple) and all(
                isinstance(v, kind) and not isinstance(v, bool) for v in given
            )
            if not numbers or len(set(given)) < len(given):
                whole = "whole " if kind is int else ""
                raise ValueError(f"expected {name} to be a list of different {whole}numbers, but got {given!r}")
        views = self.views if isinstance(self.views, list | tuple) else ()
        if "upright" not in views or not all(v in list(VIEWS) for v in views) or len(set(views)) < len(views):
            raise ValueError(f"expected views to be of {', '.join(VIEWS)}, upright among them, but got {self.views!r}")
        if not self.levels or not set(self.levels) <= set(range(GROUPS)):
            raise ValueError(f"expected levels from 0 to {GROUPS - 1}, but got {list(self.levels)}")
        if 1 not in self.zooms or not all(1 <= zoom <= 8 for zoom in self.zooms):
            raise ValueError(f"expected zooms to be from 1 to 8, 1 among them, but got {list(self.zooms)}")
        if not set(self.wide) <= set(INSIDE):
            raise ValueError(f"expected wide to be groups from {INSIDE[0]} to {INSIDE[-1]}, but got {list(self.wide)}")
        if not set(self.wide_at) <= set(self.zooms):
            raise ValueError(f"expected wide_at to be among the zooms {list(self.zooms)}, but got {list(self.wide_at)}")
        if bool(self.wide) != bool(self.wide_at):
            raise ValueError(f"wide and wide_at go together, but got {list(self.wide)} and {list(self.wide_at)}")


class Levels(nn.Module):
    """MobileNetV2 up to the last of ``levels``, under timm's names, with the outputs of several layers.

    It runs at every zoom, because later groups see traces of one or two pixels only in an enlarged image. It runs in
    every one of the ``views``, because learned filters are not symmetric; the maps are flipped back and joined along
    channels. At the zooms of ``wide_at`` the last blocks of the groups in ``wide`` are also read before their
    projection, where they are six times as wide. All maps are folded to one size by moving neighbouring pixels to
    channels (pixel unshuffle), which loses nothing and gives one (n, c, h, w) tensor.
    """

    def __init__(self, size: int, pad_type: str, reading: Reading) -> None:
        super().__init__()
        torchvision_ready.ready()
        import timm

        whole: Any = timm.create_model("mobilenetv2_100", num_classes=0, pad_type=pad_type)
        self.conv_stem, self.bn1 = whole.conv_stem, whole.bn1
        self.blocks = whole.blocks[: max([*reading.levels, *reading.wide]) + 1]
        self.levels, self.wide = tuple(sorted(reading.levels)), tuple(sorted(reading.wide))
        self.sides = tuple(round(size * zoom) for zoom in sorted(reading.zooms))
        if len(set(self.sides)) < len(self.sides):
            raise ValueError(f"the zooms {list(reading.zooms)} of {size} pixels are not all different")
        self.wide_sides = tuple(round(size * zoom) for zoom in reading.wide_at)
        self.views = tuple(VIEWS[view] for view in reading.views)
        self.eval()
        with torch.no_grad():
            shapes = [output.shape for output in self.outputs(torch.zeros(1, 3, size, size))]
        self.train()
        sides = [int(shape[2]) for shape in shapes]
        common = math.gcd(*sides)
        if common < LEAST_SIDE:
            raise ValueError(f"maps of {', '.join(map(str, sides))} pixels a side do not fold evenly")
        # Plain numbers: computed from the maps, they would become part of the recorded graph.
        self.folds = tuple(side // common for side in sides)
        self.channels = tuple(int(shape[1]) // len(self.views) for shape in shapes)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """(n, v * c, h, w) of each level for v views, zoom by zoom."""
        found = []
        for side in self.sides:
            seen = nn.functional.interpolate(x, (side, side), mode="bilinear") if side != self.sides[0] else x
            seen = torch.cat([_flipped(seen, axes) for axes in self.views])
            seen = self.bn1(self.conv_stem(seen))
            for number, group in enumerate(self.blocks):
                if number in self.wide and side in self.wide_sides:
                    inside, seen = _inside(group, seen)
                    found.append(self._views(inside))
                else:
                    seen = group(seen)
                if number in self.levels:
                    found.append(self._views(seen))
        return found

    def _views(self, seen: Tensor) -> Tensor:
        """(v * n, c, h, w), view by view, to (n, v * c, h, w) with all views flipped back to upright."""
        # LiteRT's converter cannot split into one part.
        chunks = seen.chunk(len(self.views)) if len(self.views) > 1 else (seen,)
        views = zip(chunks, self.views, strict=True)
        return torch.cat([_flipped(view, axes) for view, axes in views], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        folded = [_folded(x, by) for x, by in zip(self.outputs(x), self.folds, strict=True)]
        return torch.cat(folded, dim=1)

    def parts(self, maps: Tensor) -> list[Tensor]:
        """(n, c, positions) of each level from the output of :meth:`forward`; positions are in another order."""
        v = len(self.views)
        widths = [v * c * by * by for c, by in zip(self.channels, self.folds, strict=True)]
        split = torch.split(maps, widths, dim=1) if len(widths) > 1 else (maps,)
        n = maps.shape[0]
        return [
            part.reshape(n, v, c, -1).transpose(1, 2).reshape(n, c, -1)
            for part, c in zip(split, self.channels, strict=True)
        ]


def _inside(group: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The maps between depth-wise convolution and projection of the group's last block, and the group's output."""
    *before, last = group
    for block in before:
        x = block(x)
    wide = last.bn2(last.conv_dw(last.bn1(last.conv_pw(x))))
    return wide, last.bn3(last.conv_pwl(wide)) + x


def _folded(x: Tensor, by: int) -> Tensor:
    """(n, c, h, w) to (n, c * by * by, h / by, w / by), as ``pixel_unshuffle``, which LiteRT's converter lacks."""
    if by == 1:
        return x
    _, c, h, w = (int(side) for side in x.shape)
    parts = x.reshape(-1, c, h // by, by, w // by, by).permute(0, 1, 3, 5, 2, 4)
    return parts.reshape(-1, c * by * by, h // by, w // by)


def _flipped(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.flip(axes) if axes else x


class MobileNetV2Texture(Body):
    """Square roots of the covariance matrices between the channels of several levels, then a linear layer.

    Generated images differ from photographs in fine texture all over the image. Second moments of feature maps describe
    texture (Gatys et al. 2015, arXiv:1505.07376) and detect generated faces where average pooling does not (Liu et al.
    2020, arXiv:2002.00133). The matrix square root keeps a few strong directions from dominating (Li et al. 2018,
    arXiv:1712.01034).

    Raises
    ------
    ValueError
        ``pad_type`` is neither empty nor ``same``; or the levels' maps cannot be folded to one size.
    """

    pooled = False
    centred = True
    any_size = True

    def __init__(self, classes: int, size: int, pad_type: str, reading: Reading) -> None:
        super().__init__()
        if pad_type not in ("", "same"):
            raise ValueError(f"expected pad_type to be '' or 'same', but got {pad_type!r}")
        self.model = Levels(size, pad_type, reading)
        self.leaves_out = tuple(f"blocks.{number}." for number in range(len(self.model.blocks), GROUPS))
        # All zooms and views of an image are computed at once, so fewer images fit into a batch.
        self.batch = max(1, round(self.batch / (len(self.model.views) * sum(zoom**2 for zoom in reading.zooms))))
        for number, c in enumerate(self.model.channels):
            rows, columns = torch.triu_indices(c, c)
            self.register_buffer(f"pairs{number}", rows * c + columns, persistent=False)
            # A buffer, as LiteRT's converter writes torch.eye as an operator that its interpreter lacks.
            self.register_buffer(f"eye{number}", torch.eye(c), persistent=False)
        self.kinds = tuple(c * (c + 1) // 2 for c in self.model.channels)
        self.head = new_head(sum(self.kinds), classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.model(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features = []
        for number, values in enumerate(self.model.parts(maps)):
            values = values - values.mean(2, keepdim=True)
            covariance = values @ values.transpose(1, 2) / values.shape[2]
            root = square_root(covariance, self.get_buffer(f"eye{number}"))
            features.append(root.flatten(1).index_select(1, self.get_buffer(f"pairs{number}")))
        return torch.cat(features, dim=1)

    def backbone(self) -> nn.Module:
        return self.model

    def stages(self) -> list[nn.Module]:
        return top_stages(self.model)

    @property
    def cam_layer(self) -> nn.Module:
        return self.model


def square_root(covariance: Tensor, eye: Tensor) -> Tensor:
    """Square roots of positive semi-definite matrices (n, c, c), with 1/1000 of the mean variance added.

    ``eye`` is the identity (c, c).

    The coupled Newton-Schulz iteration (Higham 2008, *Functions of Matrices*, ch. 6) uses matrix products only, so all
    engines compute the same; an eigendecomposition would differ between them.
    """
    trace = (covariance * eye).sum((1, 2), keepdim=True) + _EPSILON
    y = covariance / trace + eye * (_RIDGE / covariance.shape[1])
    z = eye.expand_as(y)
    more = math.ceil(math.log(max(1.0, covariance.shape[1] / 96), 1.5) / 2)
    for _ in range(_ITERATIONS + more):
        step = 1.5 * eye - 0.5 * (z @ y)
        y, z = y @ step, step @ z
    root: Tensor = y * trace.sqrt()
    return root


def _build(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    reading = {name: value for name, value in options.items() if name != "pad_type"}
    return MobileNetV2Texture(classes, size, options["pad_type"], Reading(**reading))


MOBILENETV2_TEXTURE = replace(
    MOBILENETV2,
    name="mobilenetv2_100-texture",
    build=_build,
    # A large input: resizing removes the fine texture that this network uses.
    preprocessing=Preprocessing(size=256, filter="bicubic"),
    paper="Liu et al. 2020, arXiv:2002.00133, on Sandler et al. 2018, arXiv:1801.04381",
    ignores=("classifier.", "conv_head.", "bn2.", "blocks.5.", "blocks.6."),
    options={
        **MOBILENETV2.options,
        "levels": (1, 2, 3, 4),
        "zooms": (1,),
        "views": ("upright",),
        "wide": (),
        "wide_at": (),
    },
)
