"""The suite: the worst that four attacks of different kinds find, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.robustness.attacks.apgd import APGD
from facevalue.robustness.attacks.ascent import Worst
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.fab import FAB
from facevalue.robustness.attacks.square import Square


@final
@dataclass(frozen=True)
class Suite(Attack):
    """APGD on cross-entropy, APGD on the margin, FAB, Square, in that order, each for the images that still stand.

    AutoAttack's order and idea, with nothing to set; but defined for two classes, where AutoAttack's DLR loss is not:
    it divides by the lead of the first logit over the third. The margin needs no such scale, because the steps along it
    do not depend on one.

    Attributes
    ----------
    parts : the attacks by the names that figures give them.
    """

    name: ClassVar[str] = "suite"
    paper: ClassVar[str] = "after AutoAttack, Croce & Hein 2020, arXiv:2003.01690"

    parts: tuple[tuple[str, Attack], ...] = (
        ("apgd-ce", APGD(losses=("ce",))),
        ("apgd-margin", APGD(losses=("margin",))),
        ("fab", FAB()),
        ("square", Square()),
    )

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """One part after another."""
        worst = Worst(model, x, threat)
        for name, attack in self.parts:
            view, clean = worst.remaining_inputs()
            worst.add(attack.run(view, clean, threat, generator), by=name)
            model.log.say(f"{name}: {len(worst.remaining)} of {len(x)} stand")
            if worst.done:
                break
        return worst.images
