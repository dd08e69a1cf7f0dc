"""Random changes to training images."""

from __future__ import annotations

import math
from typing import Literal

from facevalue.training.settings.base import Settings, expect


class AugmentSettings(Settings, frozen=True):
    """Random changes to training images, the same for every class. 0 or false switches a change off.

    Attributes
    ----------
    flip : mirror left and right.
    rotation : up to this share of a full turn in either direction (0.2 is 72 degrees, as in Keras).
    zoom : in or out by up to this share, the same for both sides.
    shift : by up to this share of the side.
    height, width : stretched or shrunk by up to this share.
    fill : pixels from outside the image: ``mirror`` of the image, or ``plain`` grey, drawn per image.
    brightness, contrast, saturation : changed by up to this share.
    grey : colour removed with this probability (Chen et al. 2020, arXiv:2002.05709).
    jpeg : saved as JPEG with a quality between this and 95; 0: off.
    blur : up to this radius in pixels.
    rescale : each side shrunk by up to this share and enlarged again.
    corruption : probability of ``jpeg``, ``blur`` and ``rescale``, independent of each other.
    remake : probability that an image is re-made as other programs do: shrunk or enlarged by a random filter and factor
        from 0.3 to 1.5, brought back by another random filter, and in half of the cases saved as JPEG or WebP. So the
        network cannot learn which program made an image.
    randaugment : strength, 1 to 10, of two random operations (Cubuk et al. 2020, arXiv:1909.13719).
    mixup, cutmix : alpha of the beta distribution (arXiv:1710.09412, arXiv:1905.04899).
    background : the background is replaced by a uniform grey with this probability; see
        :mod:`facevalue.training.foreground`.
    noise : standard deviation of Gaussian noise on pixels in [0, 1], added last and not clipped. Certificates by
        randomised smoothing need it (Cohen et al. 2019, arXiv:1902.02918).
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    height: float = 0.0
    width: float = 0.0
    fill: Literal["mirror", "plain"] = "mirror"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    jpeg: int = 0
    blur: float = 0.0
    rescale: float = 0.0
    corruption: float = 0.5
    remake: float = 0.0
    randaugment: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    background: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "zoom", "shift", "height", "width", "brightness", "contrast", "saturation", "rescale"):
            expect(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        expect(0 <= self.jpeg <= 95, "jpeg", "a quality from 0 to 95", self.jpeg)
        expect(0 <= self.randaugment <= 10, "randaugment", "from 0 to 10", self.randaugment)
        for name in ("corruption", "remake", "background", "grey"):
            expect(0 <= getattr(self, name) <= 1, name, "a probability", getattr(self, name))
        for name in ("blur", "mixup", "cutmix", "noise"):
            expect(0 <= getattr(self, name) < math.inf, name, "a number of at least 0", getattr(self, name))
