"""The attacks: one small file each. A new one is one file and one line in :data:`ATTACKS`."""

from __future__ import annotations

from facevalue.attacks.apgd import APGD
from facevalue.attacks.base import Attack
from facevalue.attacks.bim import BIM
from facevalue.attacks.cw import CW
from facevalue.attacks.deepfool import DeepFool
from facevalue.attacks.fab import FAB
from facevalue.attacks.fgsm import FGSM
from facevalue.attacks.mifgsm import MIFGSM
from facevalue.attacks.pgd import PGD
from facevalue.attacks.square import Square
from facevalue.attacks.suite import Suite
from facevalue.errors import UsageError

_ALL: tuple[Attack, ...] = (
    FGSM(),
    BIM(),
    PGD(),
    MIFGSM(),
    CW(),
    DeepFool(),
    APGD(),
    FAB(),
    Square(),
    Suite(),
)
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in _ALL}


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
