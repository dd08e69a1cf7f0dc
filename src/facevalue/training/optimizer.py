"""The optimiser of a body, and the class weights of the loss."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.networks.base import Body
from facevalue.training.settings import FitSettings, OptimizerSettings


def make_optimizer(body: Body, settings: OptimizerSettings, fit: FitSettings) -> torch.optim.Optimizer:
    """An optimiser with four groups: the body's and the head's parameters, each with and without weight decay.

    All parameters decay but biases and norms, which are vectors; the same as timm's ``param_groups_weight_decay``,
    whose import would take longer than a small training.
    """
    head = {id(p) for p in body.head.parameters()}
    learned = [(p, p.ndim > 1 and not name.endswith(".bias")) for name, p in body.named_parameters() if p.requires_grad]
    tables = []
    for of_head, lr in ((False, settings.lr), (True, settings.lr * fit.head_lr_factor)):
        for decays in (False, True):
            parameters = [p for p, does in learned if does == decays and (id(p) in head) == of_head]
            if parameters:
                decay = settings.weight_decay * decays
                tables.append({"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay})
    if settings.name == "adamw":
        return torch.optim.AdamW(tables)
    if settings.name == "adam":
        return torch.optim.Adam(tables)
    if settings.name == "rmsprop":
        # Keras's decay and epsilon, as in the published figures.
        return torch.optim.RMSprop(tables, alpha=0.9, eps=1e-7, momentum=settings.momentum)
    return torch.optim.SGD(tables, momentum=settings.momentum, nesterov=settings.momentum > 0)


def class_weights(labels: NDArray[np.int64], classes: int, settings: FitSettings) -> Tensor:
    """(k,) class weights of the loss: all 1, or balanced so that every class has the same total weight."""
    if settings.class_weights == "none":
        return torch.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy(len(labels) / (classes * np.maximum(counts, 1))).float()
