"""The attacks: one small file each. A new one is one file and one line in :data:`ATTACKS`."""

from __future__ import annotations

from facevalue.attacks.base import Attack
from facevalue.attacks.bim import BIM
from facevalue.attacks.fgsm import FGSM
from facevalue.attacks.pgd import PGD
from facevalue.errors import UsageError

ATTACKS: dict[str, Attack] = {attack.name: attack for attack in (FGSM(), BIM(), PGD())}


def find(name: str) -> Attack:
    """The attack of this name, with its default settings.

    Raises
    ------
    UsageError
        There is none; the message names those there are.
    """
    if name not in ATTACKS:
        raise UsageError(f"there is no attack {name!r}; there are: {', '.join(ATTACKS)}")
    return ATTACKS[name]
