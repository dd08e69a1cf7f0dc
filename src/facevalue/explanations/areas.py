"""Deletion and insertion: how the probability changes as an image's pixels go or come, the hottest first."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.explanations.faithfulness import blur_of, random_heat
from facevalue.models.classifier import Classifier

STEPS = 8
"""Each step changes one eighth of the pixels."""

_TIE = 1e-4  # of the highest heat: pixels of equal heat go in random patches, not row by row


def insertion_and_deletion(
    classifier: Classifier, x: Tensor, heat: Tensor, target: Tensor, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas under the probability of ``target`` (n,), by the share of pixels that were inserted or deleted.

    Petsiuk et al. 2018, arXiv:1806.07421. Insertion starts from the blurred image and makes the hottest pixels sharp
    first; deletion starts from the image and blurs the hottest first. A faithful heat has a large area of insertion and
    a small one of deletion. For a heat that knows nothing of the network both are equal on average.

    Parameters
    ----------
    classifier : in eval mode.
    x : (n, 3, s, s) float in [0, 1].
    heat : (n, s, s) in [0, 1].
    target : (n,) int64, the class that the heat explains.
    seed : of the order of pixels with equal heat.

    Returns
    -------
    (n,) areas of insertion and (n,) of deletion, in [0, 1], by the trapezoidal rule over :data:`STEPS` steps.
    """
    n, side = len(x), x.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    order = (heat + _TIE * random_heat(n, side, generator).to(x.device)).flatten(1).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(side * side, device=x.device).expand(n, -1))
    share = (rank.view(n, 1, side, side) + 0.5) / side**2
    smooth = blur_of(x)

    def probability(images: Tensor) -> Tensor:
        with torch.no_grad():
            return classifier.probabilities(images).gather(1, target.unsqueeze(1)).squeeze(1).double()

    sharp, blurred = probability(x), probability(smooth)
    inserted, deleted = [blurred], [sharp]
    for step in range(1, STEPS):
        hot = share < step / STEPS
        inserted.append(probability(torch.where(hot, x, smooth)))
        deleted.append(probability(torch.where(hot, smooth, x)))
    return _area([*inserted, sharp]), _area([*deleted, blurred])


def _area(curve: list[Tensor]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = torch.trapezoid(torch.stack(curve), dx=1 / STEPS, dim=0).cpu().numpy()
    return area
