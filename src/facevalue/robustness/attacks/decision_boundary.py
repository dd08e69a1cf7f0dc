"""The linearised decision boundary, for attacks that minimise the perturbation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facevalue.robustness.attacks.gradients import input_gradients, steepest
from facevalue.robustness.attacks.threat import Norm, per_image
from facevalue.robustness.attacks.victim import Victim

_NEWTON = 12


def nearest_boundary(views: Sequence[Victim], x: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """For each image: margin (n,) to its nearest linearised boundary, the gradient of that margin, and the logits.

    Parameters
    ----------
    views : the model, once per boundary, from :meth:`Victim.per_boundary`.
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
    """The image in [0, 1] nearest to ``x`` on the boundary of a linear margin; (n, 3, s, s).

    It is ``x`` moved along the steepest direction and clipped to [0, 1]. The margin there is concave and piecewise
    linear in the length of the move, so Newton's method from 0 finds its zero exactly, from one side. If the boundary
    does not cross [0, 1], the result is the corner nearest to it.

    Parameters
    ----------
    x : (n, 3, s, s) in [0, 1].
    margin : (n,) at ``x``, positive or negative.
    gradient : (n, 3, s, s) gradient of the margin.
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
    """(n,) dual norm: the largest change of a linear function by a step of length 1 in ``norm``."""
    order = 1 if norm == "linf" else 2
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), ord=order, dim=1)
    return length
