"""Gradients in the pixels, and how attacks step along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from facevalue.robustness.attacks.threat import Norm
from facevalue.robustness.attacks.victim import Victim

Loss = Callable[[Victim, Tensor], Tensor]
"""(n,) of a model under attack and its logits (n, k); one of :class:`Victim`'s own methods."""


def input_gradient(model: Victim, x: Tensor, loss: Loss = Victim.odds) -> tuple[Tensor, Tensor]:
    """Gradient (n, 3, s, s) of each image's ``loss`` in its pixels, and the logits (n, k).

    One forward and one backward pass, or none where the answer is known; none for the parameters. What is not finite,
    or not connected to the pixels at all, is 0.
    """
    known = model.known_gradient(x) if loss is Victim.odds else None
    if known is not None:
        model.count()
        model.count()
        return known
    (gradient,), logits = input_gradients([model], x, loss)
    return gradient, logits


def input_gradients(models: Sequence[Victim], x: Tensor, loss: Loss) -> tuple[list[Tensor], Tensor]:
    """The gradient for each of several views of one model and the same images; one forward, a backward each."""
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
    """The step of length 1 in ``norm`` that climbs fastest: sign for ``linf``, the unit vector for ``l2``.

    0 where the gradient is 0.
    """
    if norm == "linf":
        return gradient.sign()
    # Scaled by the largest entry first: the square of a tiny gradient would underflow.
    scaled = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    length: Tensor = torch.linalg.vector_norm(scaled, dim=(1, 2, 3), keepdim=True)
    return scaled / length.clamp_min(1e-12)
