"""Which network, and its input."""

from __future__ import annotations

from typing import Any

import msgspec

from facevalue.images.preprocessing import Fit
from facevalue.images.resize import Filter
from facevalue.models.networks.base import Triple
from facevalue.training.settings.base import Settings


class NetworkSettings(Settings, frozen=True):
    """The network, its weights and its input. Keys that are not set take the values of the network's record.

    Attributes
    ----------
    name : a network of facevalue, or of timm.
    weights : ``hub`` (timm's weights), ``none`` (random), or a ``.safetensors`` or ``.pth`` file.
    convention : normalisation and padding that a weights file expects: ``auto`` (from the file's known SHA-256),
        ``own`` (the record's), or a convention of the network, such as ``tensorflow``.
    options : options of the network, such as ``widths`` of ``small-cnn``.
    size : side of the network input in pixels, 8 to 4096.
    fit : ``squash`` stretches the image to a square, ``crop`` takes the central square, ``pad`` adds grey bars.
    filter : the resampling filter.
    crop_fraction : share of the shorter side that ``crop`` keeps, in (0, 1].
    jpeg_gap : 0 decodes JPEGs at full size; 1 to 64 decodes large ones at reduced size, faster but less exact.
    mean, std : red, green and blue, of pixels in [0, 1]; the network subtracts the mean and divides by std.
    """

    name: str = "mobilenetv2_100"
    weights: str = "hub"
    convention: str = "auto"
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    size: int | None = None
    fit: Fit | None = None
    filter: Filter | None = None
    crop_fraction: float | None = None
    jpeg_gap: float | None = None
    mean: Triple | None = None
    std: Triple | None = None
