"""What is minimised by what: an optimiser for a body, and how much each class weighs in its loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.models.networks.base import Body
from facevalue.training.settings import FitSettings, OptimizerSettings


def make_optimizer(body: Body, settings: OptimizerSettings, fit: FitSettings) -> torch.optim.Optimizer:
    """An optimiser in four groups: the body's and the head's parameters, each with and without weight decay."""
    head = {id(p) for p in body.head.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in body.parameters():
        if parameter.requires_grad:
            # Biases and norms are vectors: shrinking them is no regularisation.
            groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    tables = [
        {
            "params": parameters,
            "lr": settings.lr * (fit.head_lr_factor if of_head else 1.0),
            "initial_lr": settings.lr * (fit.head_lr_factor if of_head else 1.0),
            "weight_decay": settings.weight_decay if decayed else 0.0,
        }
        for (of_head, decayed), parameters in sorted(groups.items())
    ]
    if settings.name == "adamw":
        return torch.optim.AdamW(tables)
    if settings.name == "adam":
        return torch.optim.Adam(tables)
    if settings.name == "rmsprop":
        # Keras's decay and epsilon, which the published figures were made with.
        return torch.optim.RMSprop(tables, alpha=0.9, eps=1e-7, momentum=settings.momentum)
    return torch.optim.SGD(tables, momentum=settings.momentum, nesterov=settings.momentum > 0)


def class_weights(labels: NDArray[np.int64], classes: int, settings: FitSettings) -> Tensor:
    """(k,) weights of the loss: all 1, or such that every class weighs alike."""
    if settings.class_weights == "none":
        return torch.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy(len(labels) / (classes * np.maximum(counts, 1))).float()
