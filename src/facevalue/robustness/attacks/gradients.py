"""Input gradients, and steps along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from facevalue.robustness.attacks.threat import Norm
from facevalue.robustness.attacks.victim import Victim

Loss = Callable[[Victim, Tensor], Tensor]
"""A loss (n,) of a model under attack and its logits (n, k); a method of :class:`Victim`."""


def input_gradient(model: Victim, x: Tensor, loss: Loss = Victim.odds) -> tuple[Tensor, Tensor]:
    """Gradient (n, 3, s, s) of each image's ``loss`` by its pixels, and the logits (n, k).

    One forward and one backward pass, or none if the gradient is known already. Gradients that are not finite or do not
    exist are 0.
    """
    known = model.known_gradient(x) if loss is Victim.odds else None
    if known is not None:
        model.count()
        model.count()
        return known
    (gradient,), logits = input_gradients([model], x, loss)
    return gradient, logits


def input_gradients(models: Sequence[Victim], x: Tensor, loss: Loss) -> tuple[list[Tensor], Tensor]:
    """One gradient per view of the same model and images; one forward pass, and one backward pass per view."""
    first, *_ = models
    gradients = []
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        logits = first.logits(leaf)
        for i, model in enumerate(models):
            total = loss(model, logits).sum()
            model.count()
            if total.requires_grad:
                more = i < len(models) - 1
                (gradient,) = torch.autograd.grad(total, leaf, retain_graph=more, materialize_grads=True)
                gradients.append(torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0))
            else:
                gradients.append(torch.zeros_like(x))
    return gradients, logits.detach()


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction of steepest ascent with length 1 in ``norm``: the sign for ``linf``, the unit vector for ``l2``.

    0 where the gradient is 0.
    """
    if norm == "linf":
        return gradient.sign()
    # Scaled by the largest entry first: the square of a tiny gradient would underflow.
    scaled = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    length: Tensor = torch.linalg.vector_norm(scaled, dim=(1, 2, 3), keepdim=True)
    return scaled / length.clamp_min(1e-12)
