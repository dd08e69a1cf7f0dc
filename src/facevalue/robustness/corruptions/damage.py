"""Everyday damage that calibration declares: one corruption at one strength, by a name such as ``jpeg-60``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.images.preprocessing import Preprocessing
from facevalue.robustness.corruptions import CORRUPTIONS, Corruption, corrupted
from facevalue.support import machine
from facevalue.support.registry import look_up

EVERYDAY = ("jpeg-60", "jpeg-40", "resize-0.5")
"""What messengers and thumbnails do to images: saved as JPEG of quality 60 and 40; shrunk to half of each side."""


@dataclass(frozen=True)
class Damage:
    """A corruption at one strength, which need not be one of the corruption's own strengths.

    Attributes
    ----------
    name : ``CORRUPTION-STRENGTH``.
    """

    name: str
    corruption: Corruption
    strength: float

    @classmethod
    def of(cls, name: str) -> Damage:
        """The damage of this name.

        >>> Damage.of("jpeg-60").strength
        60.0

        Raises
        ------
        UsageError
            The name has no strength, or there is no such corruption.
        """
        kind, _, text = name.rpartition("-")
        try:
            strength = float(text)
        except ValueError:
            strength = float("nan")
        if not kind or not strength > 0:
            raise UsageError(f"Expected damage as CORRUPTION-STRENGTH, such as jpeg-60, but got {name!r}")
        return cls(name, look_up(CORRUPTIONS, kind, "corruption"), strength)

    def inputs(
        self, dataset: ImageDataset, places: NDArray[np.int64], preprocessing: Preprocessing
    ) -> Iterator[NDArray[np.uint8]]:
        """Network inputs (s, s, 3) uint8 RGB of the damaged images at ``places``, in order; made ahead by threads."""
        make = partial(_input, dataset, damage=self, preprocessing=preprocessing)
        return machine.in_order(make, (int(place) for place in places), ahead=64)


def _input(dataset: ImageDataset, place: int, damage: Damage, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    image: Image.Image = corrupted(dataset.upright(place), damage.corruption, damage.strength)
    return preprocessing.apply(image)
