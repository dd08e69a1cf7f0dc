"""The attacks. To add one, write one small file and one entry in :data:`ATTACKS`."""

from __future__ import annotations

from facevalue.robustness.attacks.apgd import APGD
from facevalue.robustness.attacks.base import Attack
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.cw import CW
from facevalue.robustness.attacks.deepfool import DeepFool
from facevalue.robustness.attacks.fab import FAB
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.mifgsm import MIFGSM
from facevalue.robustness.attacks.pgd import PGD
from facevalue.robustness.attacks.square import Square
from facevalue.robustness.attacks.suite import Suite
from facevalue.support.registry import look_up

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
        There is none; the message lists the known names.
    """
    return look_up(ATTACKS, name, "attack")
