"""Makes gradients of a network in eval mode cheaper, for the duration of an attack.

Batch norm in eval mode is one factor and one shift per channel, which the convolution before it can absorb (Jacob et
al. 2018, arXiv:1712.05877, section 3.2). An in-place ReLU6 stores a copy of its input for the backward pass, although
its output is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facevalue.models.classifier import Classifier

_AGREE = 1e-3
"""Largest relative difference of the logits that counts as equal; float error is about 1e-5."""

_Slot = tuple[nn.Module, str, nn.Module]
"""A parent module, the name of a child, and the module that replaces it."""


@contextmanager
def fused(classifier: Classifier, image: Tensor) -> Iterator[None]:
    """Fewer operations for the same logits and gradients inside the block; restores every module afterwards.

    The convolution before a batch norm is inferred from the order of a module's children, and tested on one image. If
    the logits change by more than float error (the network is wired differently or is random), nothing is replaced.

    Parameters
    ----------
    classifier : in eval mode, its weights without gradients.
    image : (1, 3, s, s) in [0, 1].
    """
    slots = [slot for parent in classifier.body.modules() for slot in _replacements(parent)]
    if not slots:
        yield
        return
    with torch.no_grad():
        expected = classifier.logits(image)
    before = [(parent, name, parent._modules[name]) for parent, name, _ in slots]
    try:
        _put(slots)
        with torch.no_grad():
            agree = torch.allclose(classifier.logits(image), expected, rtol=_AGREE, atol=_AGREE)
        if not agree:
            _put(before)
        yield
    finally:
        _put(before)


def _put(slots: list[Any]) -> None:
    for parent, name, module in slots:
        parent._modules[name] = module


def _replacements(parent: nn.Module) -> Iterator[_Slot]:
    """Replacements for children of one module."""
    children = list(parent.named_children())
    for (name, child), (next_name, following) in pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            rest = _beside_norm(following)
            if rest is None or following.running_mean is None or following.num_features != child.out_channels:
                continue
            folded = fuse_conv_bn_eval(child, following)
            yield parent, name, folded.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            yield parent, next_name, rest
    for name, child in children:
        if type(child) is nn.ReLU6 and child.inplace:
            yield parent, name, _ReLU6()


def _beside_norm(norm: nn.BatchNorm2d) -> nn.Module | None:
    """The module for what a batch norm does after normalising; ``None`` if that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    parts = dict(norm.named_children())
    if set(parts) != {"drop", "act"}:
        return None
    # timm's BatchNormAct2d: dropout, which does nothing in eval mode, and an activation.
    act = parts["act"]
    return _ReLU6() if type(act) is nn.ReLU6 and act.inplace else act


class _ReLU6(nn.Module):
    """In-place ReLU6 that computes its gradient from its output."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _Clipped.apply(x)  # type: ignore[no-untyped-call]
        return y


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp_(0, 6)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # As in PyTorch, the gradient at exactly 0 and 6 is 0, so the clipped output gives the same gradient.
        (y,) = ctx.saved_tensors
        slope: Tensor = torch.ops.aten.hardtanh_backward(gradients[0], y, 0, 6)
        return slope
