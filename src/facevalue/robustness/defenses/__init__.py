"""The defences that change the input of a network. To add one, write one small file and one entry in ``DEFENSES``."""

from __future__ import annotations

from facevalue.robustness.defenses.base import Defense, defended
from facevalue.robustness.defenses.bits import Bits
from facevalue.robustness.defenses.blur import Blur
from facevalue.robustness.defenses.jpeg import JPEG
from facevalue.robustness.defenses.median import Median
from facevalue.robustness.defenses.noise import Noise
from facevalue.robustness.defenses.tv import TV
from facevalue.support.registry import look_up

__all__ = ["DEFENSES", "Defense", "defended", "find"]

DEFENSES: dict[str, Defense] = {defense.name: defense for defense in (JPEG(), Blur(), Median(), Bits(), Noise(), TV())}


def find(name: str) -> Defense:
    """The defence of this name, with its default settings.

    Raises
    ------
    UsageError
        There is none; the message lists the known names.
    """
    return look_up(DEFENSES, name, "defense")
