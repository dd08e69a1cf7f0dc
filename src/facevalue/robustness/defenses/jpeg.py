"""JPEG compression."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense
from facevalue.support.machine import in_order


@final
@dataclass(frozen=True)
class JPEG(Defense):
    """Saves the image as JPEG and reads it again.

    Rounding has no gradient. The backward pass uses the same transforms with a cubic in place of the rounding (Shin &
    Song 2017, *JPEG-resistant adversarial images*), so an attack learns which frequencies JPEG keeps. With the identity
    instead, attacks are much weaker.

    Attributes
    ----------
    quality : JPEG quality, 1 to 95; chroma has half the resolution, as usual.
    """

    name: ClassVar[str] = "jpeg"
    paper: ClassVar[str] = "Dziugaite, Ghahramani & Roy 2016, arXiv:1608.00853"
    differentiable: ClassVar[bool] = False

    quality: int = 75

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:
            raise UsageError(f"Expected quality from 1 to 95, but got {self.quality}")

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Save and read every image in memory."""
        levels = x.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        files = np.stack(list(in_order(self._saved, list(levels))))
        return torch.from_numpy(files).to(x.device).permute(0, 3, 1, 2).to(x.dtype) / 255

    def stand_in(self, x: Tensor) -> Tensor:
        """JPEG with soft rounding."""
        height, width = x.shape[2:]
        whole = torch.nn.functional.pad(x, [0, -width % 16, 0, -height % 16], mode="replicate")
        colour = torch.tensor(_TO_YCC, dtype=x.dtype, device=x.device)
        luma, *chroma = torch.split(torch.einsum("ij,njhw->nihw", colour, 255 * whole), 1, dim=1)
        planes = [_quantised(luma - 128, self._tables[0]) + 128]
        for plane in chroma:
            half = _quantised(torch.nn.functional.avg_pool2d(plane, 2), self._tables[1])
            planes.append(torch.nn.functional.interpolate(half, scale_factor=2, mode="bilinear"))
        back = torch.einsum("ij,njhw->nihw", torch.linalg.inv(colour), torch.cat(planes, dim=1)) / 255
        return back[:, :, :height, :width]

    @cached_property
    def _tables(self) -> tuple[Tensor, Tensor]:
        """Pillow's quantisation tables of luma and chroma, each (8, 8)."""
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=self.quality)
        tables = Image.open(buffer).quantization  # type: ignore[attr-defined]
        return tuple(torch.tensor(tables[i], dtype=torch.float64).view(8, 8) for i in (0, 1))  # type: ignore[return-value]

    def _saved(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=self.quality)
        return np.asarray(Image.open(buffer).convert("RGB"))


# RGB to YCbCr, as in JFIF.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def _quantised(plane: Tensor, table: Tensor) -> Tensor:
    """(n, 1, h, w), sides multiples of 8: soft quantisation by ``table`` of the DCT of its 8 x 8 blocks."""
    n, _, h, w = plane.shape
    at = torch.arange(8, dtype=plane.dtype, device=plane.device)
    cosines = torch.cos(torch.outer(at, 2 * at + 1) * torch.pi / 16) / 2
    cosines[0] /= 2**0.5
    blocks = plane.view(n, h // 8, 8, w // 8, 8).permute(0, 1, 3, 2, 4)
    steps = (cosines @ blocks @ cosines.T) / table.to(plane)
    nearest = steps.detach().round()
    soft = nearest + (steps - nearest) ** 3
    back = cosines.T @ (soft * table.to(plane)) @ cosines
    return back.permute(0, 1, 3, 2, 4).reshape(n, 1, h, w)
