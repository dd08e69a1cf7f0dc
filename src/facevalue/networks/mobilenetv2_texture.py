"""MobileNetV2's early half, read as texture: how its channels vary together, not how strong each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from facevalue.networks import torchvision_ready
from facevalue.networks.base import Body, new_head
from facevalue.networks.mobilenetv2 import MOBILENETV2
from facevalue.networks.timm_body import top_stages
from facevalue.pixels import Geometry

GROUPS = 5
"""Groups of blocks that there are levels of. The two after them know what things are, and cover too much at once."""

_EPSILON = 1e-5
"""Added to variances, so that a picture of one colour has correlations and logarithms too."""


class Levels(nn.Module):
    """The stem and the first :data:`GROUPS` groups of blocks, under timm's names, with the outputs of several at once.

    They run on the picture at every zoom: enlarged, traces of a pixel or two come into the reach of later groups.
    Larger maps are folded to the size of the smallest: each square of neighbours becomes channels beside each other, so
    that nothing is lost and all levels lie in one (n, c, h, w).
    """

    def __init__(self, size: int, pad_type: str, levels: Sequence[int], zooms: Sequence[int]) -> None:
        super().__init__()
        torchvision_ready.ready()
        import timm

        whole: Any = timm.create_model("mobilenetv2_100", num_classes=0, pad_type=pad_type)
        self.conv_stem, self.bn1 = whole.conv_stem, whole.bn1
        self.blocks = whole.blocks[:GROUPS]
        self.levels = tuple(sorted(levels))
        self.sides = tuple(size * zoom for zoom in sorted(zooms))
        self.eval()
        with torch.no_grad():
            shapes = [output.shape for output in self.outputs(torch.zeros(1, 3, size, size))]
        self.train()
        sides = [int(shape[2]) for shape in shapes]
        if any(side % min(sides) for side in sides):
            raise ValueError(f"maps of {', '.join(map(str, sides))} pixels a side do not fold evenly")
        # Kept as plain numbers: read from the maps themselves they would be part of the recorded graph.
        self.folds = tuple(side // min(sides) for side in sides)
        self.channels = tuple(int(shape[1]) for shape in shapes)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """(n, c, h, w) of each level, at one zoom after the other."""
        found = []
        for side in self.sides:
            seen = nn.functional.interpolate(x, (side, side), mode="bilinear") if side != self.sides[0] else x
            seen = self.bn1(self.conv_stem(seen))
            for number, block in enumerate(self.blocks):
                seen = block(seen)
                if number in self.levels:
                    found.append(seen)
        return found

    def forward(self, x: Tensor) -> Tensor:
        folded = [nn.functional.pixel_unshuffle(x, by) for x, by in zip(self.outputs(x), self.folds, strict=True)]
        return torch.cat(folded, dim=1)

    def parts(self, maps: Tensor) -> list[Tensor]:
        """(n, c, places) of each level, from what :meth:`forward` gave; the order of the places is another."""
        widths = [c * by * by for c, by in zip(self.channels, self.folds, strict=True)]
        split = torch.split(maps, widths, dim=1)
        return [part.reshape(part.shape[0], c, -1) for part, c in zip(split, self.channels, strict=True)]


class MobileNetV2Texture(Body):
    """Correlations between the channels of several levels, and the logarithms of the channels' deviations; linear.

    What gives a generated picture away is fine and all over it: it shows less in what is where than in which local
    patterns come together. Second moments of maps say that (Gatys et al. 2015, arXiv:1505.07376) and have been found to
    tell generated faces where average pooling cannot (Liu et al. 2020, arXiv:2002.00133).

    Raises
    ------
    ValueError
        A level is not among the first five groups of blocks, or the last of them is left out; a zoom is no whole
        number, or 1 is not among them; or the square does not divide evenly among the levels' maps.
    """

    pooled = False

    def __init__(self, classes: int, size: int, pad_type: str, levels: Sequence[int], zooms: Sequence[int]) -> None:
        super().__init__()
        if GROUPS - 1 not in levels or not set(levels) <= set(range(GROUPS)):
            raise ValueError(f"expected levels from 0 to {GROUPS - 1}, the last among them, but got {list(levels)}")
        if 1 not in zooms or not all(isinstance(zoom, int) and 1 <= zoom <= 8 for zoom in zooms):
            raise ValueError(f"expected zooms to be whole numbers from 1 to 8, 1 among them, but got {list(zooms)}")
        self.model = Levels(size, pad_type, levels, zooms)
        for number, c in enumerate(self.model.channels):
            rows, columns = torch.triu_indices(c, c, 1)
            self.register_buffer(f"pairs{number}", rows * c + columns, persistent=False)
        self.head = new_head(sum(c * (c + 1) // 2 for c in self.model.channels), classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.model(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features = []
        for number, values in enumerate(self.model.parts(maps)):
            values = values - values.mean(2, keepdim=True)
            deviation = (values.square().mean(2, keepdim=True) + _EPSILON).sqrt()
            scaled = values / deviation
            correlation = scaled @ scaled.transpose(1, 2) / values.shape[2]
            features.append(correlation.flatten(1).index_select(1, self.get_buffer(f"pairs{number}")))
            features.append(deviation.squeeze(2).log())
        return torch.cat(features, dim=1)

    def backbone(self) -> nn.Module:
        return self.model

    def stages(self) -> list[nn.Module]:
        return top_stages(self.model)

    @property
    def cam_layer(self) -> nn.Module:
        return self.model


def _build(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    return MobileNetV2Texture(classes, size, options["pad_type"], options["levels"], options["zooms"])


MOBILENETV2_TEXTURE = replace(
    MOBILENETV2,
    name="mobilenetv2_100-texture",
    build=_build,
    # Finer than a network that names things needs: resizing takes away what this one looks at.
    geometry=Geometry(size=256, filter="bicubic"),
    paper="Liu et al. 2020, arXiv:2002.00133, on Sandler et al. 2018, arXiv:1801.04381",
    ignores=("classifier.", "conv_head.", "bn2.", "blocks.5.", "blocks.6."),
    options={**MOBILENETV2.options, "levels": (1, 2, 3, 4), "zooms": (1,)},
)
