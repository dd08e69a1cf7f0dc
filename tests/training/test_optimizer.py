"""Which parameters of a body decay, against timm's own choice."""

from __future__ import annotations

import pytest

from facevalue.models.networks import build, torchvision_ready
from facevalue.training.optimizer import make_optimizer
from facevalue.training.settings import FitSettings, OptimizerSettings


@pytest.mark.parametrize("name", ["small-resnet", "small-inception", "mobilenetv2_100"])
def test_the_groups_are_those_of_timm_split_in_body_and_head(name: str) -> None:
    torchvision_ready.ready()  # timm imports torchvision
    from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # timm lists no exports

    body = build(name, 2, 64)
    body.head.bias.requires_grad_(False)  # a frozen parameter is in no group
    settings, fit = OptimizerSettings(lr=0.1, weight_decay=0.02), FitSettings(head_lr_factor=10)
    groups = make_optimizer(body, settings, fit).param_groups
    head = {id(p) for p in body.head.parameters()}
    expected = [
        ([id(p) for p in group["params"] if (id(p) in head) == of_head], group["weight_decay"], lr)
        for of_head, lr in ((False, 0.1), (True, 1.0))
        for group in param_groups_weight_decay(body, weight_decay=0.02)
    ]
    found = [([id(p) for p in group["params"]], group["weight_decay"], group["lr"]) for group in groups]
    assert found == [one for one in expected if one[0]]
    assert len(found) == 3
