"""Integrated gradients: the gradient by each pixel, summed on the way from a grey image to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor, nn

from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier

_LEAST_CELLS = 20  # cells per side that a map keeps


@final
@dataclass(frozen=True)
class IntegratedGradients(Explanation):
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), computed by captum.

    The way starts at an image of the network's mean colour, which is zero after normalisation. The attributions of
    pixels are noise to the eye, so ``raw`` holds their sums over small square cells. All cells together sum to the
    logit of the image less that of the mean colour; regions that speak against the class are below zero.

    Attributes
    ----------
    steps : points on the way; with more, the sum is more exact.
    """

    name: ClassVar[str] = "integrated-gradients"
    paper: ClassVar[str] = "Sundararajan et al. 2017, arXiv:1703.01365"
    steps: int = 32

    def refusal(self, classifier: Classifier) -> str | None:
        return None

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, cells, cells) attributions."""
        from captum.attr import IntegratedGradients as CaptumIntegratedGradients

        pixels = CaptumIntegratedGradients(classifier).attribute(
            x,
            baselines=baseline(classifier, x),
            target=target,
            n_steps=self.steps,
            internal_batch_size=max(len(x), classifier.body.batch),
        )
        cell = cell_side(x.shape[-1])
        summed: Tensor = nn.functional.avg_pool2d(pixels.float().sum(1, keepdim=True), cell) * cell**2
        return summed.squeeze(1)


def baseline(classifier: Classifier, x: Tensor) -> Tensor:
    """Images of the network's mean colour, in the shape of ``x`` (n, 3, s, s)."""
    return classifier.mean.expand_as(x).detach().clone()


def cell_side(side: int) -> int:
    """Pixels per side of a cell: a divisor of ``side``, so that the cells cover the image exactly.

    >>> [cell_side(side) for side in (224, 128, 100, 32, 31)]
    [8, 4, 5, 1, 1]
    """
    return max(cell for cell in range(1, max(1, side // _LEAST_CELLS) + 1) if side % cell == 0)
