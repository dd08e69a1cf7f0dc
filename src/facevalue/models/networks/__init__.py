"""The networks, one record each. To add one, write one small file and one line in :data:`NETWORKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.models.networks.base import Body, Network
from facevalue.models.networks.ensemble import ENSEMBLE
from facevalue.models.networks.inception import INCEPTION_V3, INCEPTION_V3_MIXED7
from facevalue.models.networks.mobilenetv2 import MOBILENETV2
from facevalue.models.networks.mobilenetv2_texture import MOBILENETV2_TEXTURE
from facevalue.models.networks.resnet18 import RESNET18
from facevalue.models.networks.small_cnn import SMALL_CNN
from facevalue.models.networks.small_hybrid import SMALL_HYBRID
from facevalue.models.networks.small_inception import SMALL_INCEPTION
from facevalue.models.networks.small_resnet import SMALL_RESNET
from facevalue.models.networks.timm_body import any_timm

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        SMALL_CNN,
        SMALL_RESNET,
        SMALL_INCEPTION,
        SMALL_HYBRID,
        MOBILENETV2,
        MOBILENETV2_TEXTURE,
        RESNET18,
        INCEPTION_V3,
        INCEPTION_V3_MIXED7,
        ENSEMBLE,
    )
}


def find(name: str) -> Network:
    """The record of this name; for any other timm model, one made from timm's settings.

    Raises
    ------
    UsageError
        Neither facevalue nor timm has such a network.
    """
    return NETWORKS[name] if name in NETWORKS else any_timm(name, tuple(NETWORKS))


def build(name: str, classes: int, size: int, options: Mapping[str, Any] | None = None) -> Body:
    """A body with random weights, in train mode.

    Parameters
    ----------
    name : in :data:`NETWORKS`, or any timm model.
    classes : number of logits, at least 2.
    size : side of the network input in pixels.
    options : override those of the record.

    Raises
    ------
    UsageError
        The name or an option is unknown, or the network input is too small for the network.
    """
    network = find(name)
    given = dict(options or {})
    unknown = sorted(set(given) - set(network.options))
    if unknown and name != network.timm_name:  # timm checks the options of its own networks
        known = ", ".join(network.options) or "none"
        raise UsageError(f"{name} has no option {unknown[0]!r}; it knows: {known}")
    try:
        return network.build(classes, size, {**network.options, **given})
    except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        text = " ".join(str(error).split())[:200]
        raise UsageError(f"{name} cannot be built for {size} x {size} pixels and {classes} classes: {text}") from error
