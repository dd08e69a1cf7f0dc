"""What gradient attacks climb, and how they step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facevalue.attacks.threat import Norm
from facevalue.attacks.victim import Victim

Loss = Callable[[Tensor, Tensor], Tensor]


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) log odds against the truth, log((1 - p_y) / p_y), of (n, k) logits and (n,) true classes.

    Cross-entropy is log(1 + exp(log odds)): the two grow together, and for one picture their gradients point the same
    way, so that a sign or a unit step is the same. But the gradient of cross-entropy underflows to 0 where the softmax
    is saturated, and this one does not.

    >>> log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    tensor([-2.])
    """
    truth = torch.nn.functional.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(truth, float("-inf")).logsumexp(dim=1) - logits[truth]


def input_gradient(model: Victim, x: Tensor, y: Tensor, loss: Loss = log_odds) -> tuple[Tensor, Tensor]:
    """Gradient (n, 3, s, s) of each picture's ``loss(logits, y)`` in its pixels, and the logits (n, k).

    One forward and one backward pass; none for the parameters. What is not finite, or not connected to the pixels at
    all, is 0.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        logits = model.logits(leaf)
        total = loss(logits, y).sum()
        model.count()
        if not total.requires_grad:
            return torch.zeros_like(x), logits
        (gradient,) = torch.autograd.grad(total, leaf, materialize_grads=True)
    return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0), logits.detach()


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
