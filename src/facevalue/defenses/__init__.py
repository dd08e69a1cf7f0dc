"""The defences before a network: one small file each. A new one is one file and one line in :data:`DEFENSES`."""

from __future__ import annotations

from facevalue.defenses.base import Defense, defended
from facevalue.defenses.bits import Bits
from facevalue.defenses.blur import Blur
from facevalue.defenses.jpeg import JPEG
from facevalue.defenses.median import Median
from facevalue.defenses.noise import Noise
from facevalue.defenses.tv import TV
from facevalue.errors import UsageError

__all__ = ["DEFENSES", "Defense", "defended", "find"]

DEFENSES: dict[str, Defense] = {defense.name: defense for defense in (JPEG(), Blur(), Median(), Bits(), Noise(), TV())}


def find(name: str) -> Defense:
    """The defence of this name, with its default settings.

    Raises
    ------
    UsageError
        There is none; the message names those there are.
    """
    if name not in DEFENSES:
        raise UsageError(f"there is no defense {name!r}; there are: {', '.join(DEFENSES)}")
    return DEFENSES[name]
