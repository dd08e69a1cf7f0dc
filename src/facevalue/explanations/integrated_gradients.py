"""Integrated gradients: the gradient by each pixel, summed on the way from a plain image to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from facevalue.evidence.findings import finding, say
from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier

_LEAST_CELLS = 20  # cells per side that a map keeps
_MORE = 2  # times as many steps in the next attempt, where the sum is not exact enough


@final
@dataclass(frozen=True)
class IntegratedGradients(Explanation):
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), computed by captum.

    The way starts at an image of the network's mean colour, which is zero after normalisation. The attributions of
    pixels are noise to the eye, so ``raw`` holds their sums over small square cells. All cells together sum to the
    logit of the image less that of the mean colour; regions that speak against the class are below zero.

    Attributes
    ----------
    steps : points on the way.
    most_steps : images whose cells do not sum to the difference get more steps, up to this number; a finding says for
        how many that was not enough.
    tolerance : largest error of the sum, as a share of the difference of the logits.
    """

    name: ClassVar[str] = "integrated-gradients"
    paper: ClassVar[str] = "Sundararajan et al. 2017, arXiv:1703.01365"
    steps: int = 24
    most_steps: int = 96
    tolerance: float = 0.1

    def refusal(self, classifier: Classifier) -> str | None:
        return None

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, cells, cells) attributions."""
        plain = baseline(classifier, x)
        with torch.no_grad():
            gain = (classifier.logits(x) - classifier.logits(plain)).gather(1, target.unsqueeze(1)).squeeze(1)
        cells, steps = self._attributions(classifier, x, plain, target, self.steps), self.steps
        while (wrong := self._wrong(cells, gain)).any() and steps * _MORE <= self.most_steps:
            steps *= _MORE
            cells[wrong] = self._attributions(classifier, x[wrong], plain[wrong], target[wrong], steps)
        if wrong.any():
            n = int(wrong.sum())
            text = (
                f"for {n} of {len(x)} images the attributions of {self.name} miss the difference of the logits by more "
                f"than {self.tolerance:.0%} after {steps} steps"
            )
            say([finding("attributions-do-not-add-up", text, n=n, of=len(x), steps=steps)])
        return cells

    def _wrong(self, cells: Tensor, gain: Tensor) -> Tensor:
        # Where both images have nearly the same logit, only an error that could matter counts.
        return (cells.sum((1, 2)) - gain).abs() > (self.tolerance * gain.abs()).clamp_min(0.01)

    def _attributions(self, classifier: Classifier, x: Tensor, plain: Tensor, target: Tensor, steps: int) -> Tensor:
        from captum.attr import IntegratedGradients as CaptumIntegratedGradients

        pixels = CaptumIntegratedGradients(classifier).attribute(
            x,
            baselines=plain,
            target=target,
            n_steps=steps,
            internal_batch_size=max(len(x), classifier.body.batch),
        )
        cell = cell_side(x.shape[-1])
        summed: Tensor = nn.functional.avg_pool2d(pixels.detach().float().sum(1, keepdim=True), cell) * cell**2
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
