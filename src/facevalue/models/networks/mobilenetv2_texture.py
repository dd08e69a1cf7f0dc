"""MobileNetV2's early half, read as texture: how its channels vary together, not how strong each is."""

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
"""Groups of blocks that there are levels of. The two after them know what things are, and cover too much at once."""

INSIDE = range(1, GROUPS)
"""Groups of blocks that can be read inside, where their last block is widest: all that have such blocks."""

LEAST_SIDE = 4
"""Of the size that all maps are folded to: below it, what is where would be lost to explanations."""

VIEWS: Mapping[str, tuple[int, ...]] = {"upright": (), "mirrored": (3,), "upside-down": (2,), "turned": (2, 3)}
"""What an image may be seen as, by the axes of (n, c, h, w) that are flipped; turned is by half a turn."""

_EPSILON = 1e-8
"""Added to a trace, so that an image of one colour has a square root too."""
_RIDGE = 1e-3
_ITERATIONS = 16
"""Enough for the least eigenvalue that the ridge allows, of 96 channels, to a ten-thousandth. Each brings small ones
nearer by half; of more channels the least is smaller, and takes a few more."""


@dataclass(frozen=True)
class Reading:
    """Which maps are read, at which zooms.

    Attributes
    ----------
    levels : groups of blocks whose output is read.
    zooms : at which the image runs through them; 1 among them.
    views : of :data:`VIEWS`, as which it does so; upright among them.
    wide, wide_at : groups whose last block is read inside, and at which of the zooms.

    Raises
    ------
    ValueError
        There is no level, or one that is not among the first five groups of blocks; a zoom is not between 1 and 8, or
        1 is not among them; a view is not known, or upright is not among them; or ``wide`` names the first group, which
        has no such block, or ``wide_at`` what is not a zoom.
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
    """The stem and groups of blocks up to the last of ``levels``, under timm's names, with several outputs at once.

    They run on the image at every zoom: enlarged, traces of a pixel or two come into the reach of later groups. They
    run on it as every one of the ``views``, whose maps are flipped back and lie beside each other: convolutions that
    were learned are not symmetric, so that the same image says more. At the zooms of ``wide_at`` the last
    blocks of the groups in ``wide`` are read inside too: where they are six times as wide, before a projection.
    All maps are folded to one size: each square of neighbours becomes channels beside each other, so that nothing is
    lost and all levels lie in one (n, c, h, w).
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
        # Kept as plain numbers: read from the maps themselves they would be part of the recorded graph.
        self.folds = tuple(side // common for side in sides)
        self.channels = tuple(int(shape[1]) // len(self.views) for shape in shapes)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """(n, v * c, h, w) of each level, v views, at one zoom after the other."""
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
        """(v * n, c, h, w), one view after the other, to (n, v * c, h, w) with all of them upright again."""
        views = zip(seen.chunk(len(self.views)), self.views, strict=True)
        return torch.cat([_flipped(view, axes) for view, axes in views], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        folded = [nn.functional.pixel_unshuffle(x, by) for x, by in zip(self.outputs(x), self.folds, strict=True)]
        return torch.cat(folded, dim=1)

    def parts(self, maps: Tensor) -> list[Tensor]:
        """(n, c, places) of each level, from what :meth:`forward` gave; the order of the places is another."""
        v = len(self.views)
        widths = [v * c * by * by for c, by in zip(self.channels, self.folds, strict=True)]
        split = torch.split(maps, widths, dim=1)
        n = maps.shape[0]
        return [
            part.reshape(n, v, c, -1).transpose(1, 2).reshape(n, c, -1)
            for part, c in zip(split, self.channels, strict=True)
        ]


def _inside(group: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the group's last block has between its depth-wise convolution and its projection, and the group's output."""
    *before, last = group
    for block in before:
        x = block(x)
    wide = last.bn2(last.conv_dw(last.bn1(last.conv_pw(x))))
    return wide, last.bn3(last.conv_pwl(wide)) + x


def _flipped(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.flip(axes) if axes else x


class MobileNetV2Texture(Body):
    """Square roots of the covariances between the channels of several levels; linear.

    What gives a generated image away is fine and all over it: it shows less in what is where than in which local
    patterns come together. Second moments of maps say that (Gatys et al. 2015, arXiv:1505.07376) and have been found to
    tell generated faces where average pooling cannot (Liu et al. 2020, arXiv:2002.00133). Of a covariance matrix the
    square root is taken, which keeps a few strong directions from drowning the rest (Li et al. 2018, arXiv:1712.01034).

    Raises
    ------
    ValueError
        ``pad_type`` is neither empty nor ``same``; or the network input does not divide evenly among the levels' maps.
    """

    pooled = False
    any_size = True

    def __init__(self, classes: int, size: int, pad_type: str, reading: Reading) -> None:
        super().__init__()
        if pad_type not in ("", "same"):
            raise ValueError(f"expected pad_type to be '' or 'same', but got {pad_type!r}")
        self.model = Levels(size, pad_type, reading)
        self.leaves_out = tuple(f"blocks.{number}." for number in range(len(self.model.blocks), GROUPS))
        # An image is as many pixels as its zooms and views have together.
        self.batch = max(1, round(self.batch / (len(self.model.views) * sum(zoom**2 for zoom in reading.zooms))))
        for number, c in enumerate(self.model.channels):
            rows, columns = torch.triu_indices(c, c)
            self.register_buffer(f"pairs{number}", rows * c + columns, persistent=False)
        self.kinds = tuple(c * (c + 1) // 2 for c in self.model.channels)
        self.head = new_head(sum(self.kinds), classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.model(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features = []
        for number, values in enumerate(self.model.parts(maps)):
            values = values - values.mean(2, keepdim=True)
            root = square_root(values @ values.transpose(1, 2) / values.shape[2])
            features.append(root.flatten(1).index_select(1, self.get_buffer(f"pairs{number}")))
        return torch.cat(features, dim=1)

    def backbone(self) -> nn.Module:
        return self.model

    def stages(self) -> list[nn.Module]:
        return top_stages(self.model)

    @property
    def cam_layer(self) -> nn.Module:
        return self.model


def square_root(covariance: Tensor) -> Tensor:
    """(n, c, c) positive semi-definite to their square roots, with a thousandth of the mean variance added.

    Newton and Schulz's coupled iteration (Higham 2008, *Functions of Matrices*, ch. 6): products alone, so that every
    engine computes it alike, which eigenvectors would not be.
    """
    eye = torch.eye(covariance.shape[1], dtype=covariance.dtype, device=covariance.device)
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
    # Finer than a network that names things needs: resizing takes away what this one looks at.
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
