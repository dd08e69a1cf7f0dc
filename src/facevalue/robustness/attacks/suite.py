"""The suite: the worst case of four different attacks, image by image."""

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
    """APGD on cross-entropy, APGD on the margin, FAB and Square, each on the images that are not broken yet.

    Like AutoAttack, without parameters to tune, but also defined for two classes. AutoAttack's DLR loss is not, because
    it divides by the lead of the first logit over the third. The margin replaces it: steps along its gradient do not
    depend on the scale of the logits.

    Attributes
    ----------
    parts : the attacks with their names in results.
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
        """Run the parts in order."""
        worst = Worst(model, x, threat)
        for name, attack in self.parts:
            view, clean = worst.remaining_inputs()
            worst.add(attack.run(view, clean, threat, generator), by=name)
            model.log.say(f"{name}: {len(worst.remaining)} of {len(x)} not broken")
            if worst.done:
                break
        return worst.images
