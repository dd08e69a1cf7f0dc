"""Freezes stages of a network and sets the train or eval mode of each."""

from __future__ import annotations

from torch import nn

from facevalue.models.networks.base import Body
from facevalue.training.settings import FitSettings


def unfreeze(body: Body, settings: FitSettings) -> list[nn.Module]:
    """Freeze all but the head and the last ``stages`` stages; returns the stages that train."""
    stages = body.stages()
    unfrozen = stages if settings.stages == "all" else stages[-settings.stages :]
    for parameter in body.parameters():
        parameter.requires_grad_(settings.stages == "all")
    for module in (*unfrozen, body.head):
        for parameter in module.parameters():
            parameter.requires_grad_(True)
    return unfrozen


def set_mode(body: Body, unfrozen: list[nn.Module], settings: FitSettings) -> None:
    """Set train mode for trained stages, else eval. With ``freeze_batchnorm`` all batch norms are in eval mode."""
    if settings.stages == "all":
        body.train()
    else:
        body.eval()
        for module in (*unfrozen, body.head):
            module.train()
    if settings.freeze_batchnorm:
        for module in body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
