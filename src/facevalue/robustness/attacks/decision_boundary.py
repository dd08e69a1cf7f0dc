"""The border of the decision, as the gradients promise it: what attacks that look for the least change walk to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facevalue.robustness.attacks.gradients import input_gradients, steepest
from facevalue.robustness.attacks.threat import Norm, per_image
from facevalue.robustness.attacks.victim import Victim

_NEWTON = 12


def nearest_boundary(views: Sequence[Victim], x: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image the margin (n,) to the border that is nearest by its gradient, that gradient, and the logits.

    Parameters
    ----------
    views : the model by the borders that it may be led across, from :meth:`Victim.per_boundary`.
    x : (n, 3, s, s) in [0, 1].
    """
    gradients, logits = input_gradients(views, x, Victim.margin)
    margins = torch.stack([view.margin(logits) for view in views])
    slopes = torch.stack([_dual_length(gradient, norm) for gradient in gradients])
    best = (margins.abs() / slopes.clamp_min(1e-12)).argmin(dim=0)
    gradient = gradients[0]
    for i, other in enumerate(gradients[1:], start=1):
        gradient = torch.where(per_image(best == i), other, gradient)
    return margins.gather(0, best[None])[0], gradient, logits


def project_to_boundary(x: Tensor, margin: Tensor, gradient: Tensor, norm: Norm) -> Tensor:
    """The point of [0, 1] nearest to ``x`` where a linear margin is 0; (n, 3, s, s).

    It is ``x`` moved along the steepest direction and clipped, by a length at which margin and what the gradient makes
    of the move add up to 0. That sum is concave and piecewise linear in the length, so that Newton's method from 0
    comes to it from one side, and exactly. Where all of [0, 1] is on one side: its corner nearest to the border.

    Parameters
    ----------
    x : (n, 3, s, s) in [0, 1].
    margin : (n,) at ``x``, of either sign.
    gradient : (n, 3, s, s) of the margin.
    """
    signed = gradient * -margin.sign().view(-1, 1, 1, 1)
    missing = margin.abs().double()
    direction = steepest(signed, norm)
    length = torch.zeros_like(missing)
    point = x
    for _ in range(_NEWTON):
        point = (x + direction * per_image(length.to(x.dtype))).clamp(0, 1)
        free = ((point > 0) | (direction > 0)) & ((point < 1) | (direction < 0))
        gained = (signed * (point - x)).sum(dim=(1, 2, 3), dtype=torch.float64)
        slope = (signed * direction * free).sum(dim=(1, 2, 3), dtype=torch.float64)
        short = missing - gained
        if not ((short > 1e-6 * missing) & (slope > 0)).any():
            break
        length = length + torch.where(slope > 0, short.clamp_min(0) / slope.clamp_min(1e-300), 0.0)
    return point


def _dual_length(gradient: Tensor, norm: Norm) -> Tensor:
    """(n,) by how much a step of length 1 in ``norm`` can change a function of this gradient."""
    order = 1 if norm == "linf" else 2
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), ord=order, dim=1)
    return length
