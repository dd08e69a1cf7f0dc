"""Faithfulness of a heat map: how much the probability falls when the hottest regions are removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facevalue.models.classifier import Classifier

SHARE = 0.2
"""Share of an image's pixels that is removed."""

_DRAWS = 4  # random masks per image, so that the comparison does not depend on one draw
_CELLS = 7  # cells per side of a random mask: patches about as coarse as class activation maps


@dataclass(frozen=True)
class Faithfulness:
    """Mean drop of the explained class's probability, in [-1, 1]; larger for a faithful heat than for random patches.

    Attributes
    ----------
    drop_hot : when the hottest fifth of the pixels is blurred; ``None`` if no image has heat.
    drop_random : when as many pixels in random patches are blurred.
    n : number of images with heat.
    """

    drop_hot: float | None
    drop_random: float | None
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON."""
        return {"drop_hot": self.drop_hot, "drop_random": self.drop_random, "n": self.n}


def deletion(classifier: Classifier, x: Tensor, heat: Tensor, target: Tensor, seed: int = 0) -> Faithfulness:
    """Measure the probability after blurring the hottest fifth of each image, and after blurring random patches.

    After the deletion metric and the random masks of RISE (Petsiuk et al. 2018, arXiv:1806.07421). Blurring removes
    detail without the hard edges of black patches.

    Parameters
    ----------
    classifier : in eval mode.
    x : (n, 3, s, s) float in [0, 1].
    heat : (n, s, s) in [0, 1]; images with no heat at all are left out.
    target : (n,) int64, the class that the heat explains.
    seed : of the random patches.
    """
    warm = heat.flatten(1).amax(1) > 0
    x, heat, target = x[warm], heat[warm], target[warm]
    n, side = len(x), x.shape[-1]
    if n == 0:
        return Faithfulness(None, None, 0)
    generator = torch.Generator().manual_seed(seed)
    smooth = blur_of(x)

    def probability(mask: Tensor) -> Tensor:
        with torch.no_grad():
            p = classifier.probabilities(torch.where(mask.unsqueeze(1), smooth, x))
        return p.gather(1, target.unsqueeze(1)).squeeze(1).double()

    before = probability(torch.zeros_like(heat, dtype=torch.bool))
    hot = before - probability(_highest(heat))
    random = torch.stack(
        [before - probability(_highest(random_heat(n, side, generator).to(x.device))) for _ in range(_DRAWS)]
    )
    return Faithfulness(float(hot.mean()), float(random.mean()), n)


def pooled(parts: Iterable[Faithfulness]) -> Faithfulness:
    """Combine the figures of several batches, weighted by their number of images.

    >>> pooled([Faithfulness(0.5, 0.1, 1), Faithfulness(0.25, 0.1, 3), Faithfulness(None, None, 0)]).drop_hot
    0.3125
    """
    counted = [(p.drop_hot, p.drop_random, p.n) for p in parts if p.drop_hot is not None and p.drop_random is not None]
    n = sum(count for _, _, count in counted)
    if n == 0:
        return Faithfulness(None, None, 0)
    return Faithfulness(sum(h * c for h, _, c in counted) / n, sum(r * c for _, r, c in counted) / n, n)


def blur_of(x: Tensor) -> Tensor:
    """``x`` (n, 3, s, s) without its detail: what is put in the place of pixels that are removed."""
    return blurred(x, sigma=x.shape[-1] / 16)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (n, 3, s, s) with mirrored edges; ``sigma`` in pixels."""
    radius = min(max(1, round(3 * sigma)), x.shape[-1] - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1, 1, 1)  # (3, 1, 1, 2 radius + 1), one per channel
    wide = nn.functional.conv2d(nn.functional.pad(x, (radius, radius, 0, 0), mode="reflect"), kernel, groups=3)
    tall = nn.functional.pad(wide, (0, 0, radius, radius), mode="reflect")
    return nn.functional.conv2d(tall, kernel.transpose(2, 3), groups=3)


def _highest(heat: Tensor) -> Tensor:
    """(n, s, s) bool: the pixels with the highest heat; the same number in every image."""
    flat = heat.flatten(1)
    count = max(1, round(SHARE * flat.shape[1]))
    mask = torch.zeros_like(flat, dtype=torch.bool)
    return mask.scatter_(1, flat.topk(count, dim=1).indices, True).view_as(heat)


def random_heat(n: int, side: int, generator: torch.Generator) -> Tensor:
    """(n, side, side) in [0, 1]: smooth random patches, the masks of RISE."""
    cells = torch.rand(n, 1, _CELLS, _CELLS, generator=generator)
    return nn.functional.interpolate(cells, size=(side, side), mode="bilinear", align_corners=False).squeeze(1)
