"""FAB, the fast adaptive boundary attack: steps along the boundary, biased towards the clean image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import Worst, broken_when_rounded
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.decision_boundary import project_to_boundary
from facevalue.robustness.attacks.gradients import input_gradient
from facevalue.robustness.attacks.threat import per_image

_BISECTIONS = 3


@final
@dataclass(frozen=True)
class FAB(Attack):
    """Projections to the linearised boundary, each averaged with the projection of the clean image.

    It looks for the smallest perturbation; an image is finished once that is inside the ball. An untargeted attack on
    more than two classes tries the classes one after another, as in AutoAttack (Croce & Hein 2020, arXiv:2003.01690).
    The paper computes logits and gradient separately; here one forward pass gives both, so the step back from beyond
    the boundary uses a gradient taken slightly further out.

    Attributes
    ----------
    steps : steps per start.
    restarts : number of starts; the first is the clean image, the others are random.
    rivals : number of classes to try: those with the largest logits on the clean image.
    most : largest weight of the clean image's projection, in (0, 1].
    overshoot : how far each projection goes beyond the boundary, as a share of its length.
    back : share of the perturbation that is kept after the boundary was crossed, in (0, 1].
    """

    name: ClassVar[str] = "fab"
    paper: ClassVar[str] = "Croce & Hein 2020, arXiv:1907.02044"

    steps: int = 100
    restarts: int = 1
    rivals: int = 9
    most: float = 0.1
    overshoot: float = 0.05
    back: float = 0.9

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.rivals < 1:
            got = f"{self.steps}, {self.restarts} and {self.rivals}"
            raise UsageError(f"Expected steps >= 1, restarts >= 1 and rivals >= 1, but got {got}")
        if not (0 < self.most <= 1 and 0 < self.back <= 1 and self.overshoot >= 0):
            got = f"{self.most}, {self.back} and {self.overshoot}"
            raise UsageError(f"Expected most and back in (0, 1] and overshoot >= 0, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Try each start and rival class on the images that are not broken yet."""
        worst = Worst(model, x, threat)
        views = model.per_boundary(model.logits(x), self.rivals)
        for restart in range(self.restarts):
            for view in views:
                clean = x[worst.remaining]
                start = threat.random_point(clean, generator) if restart else clean
                worst.add(self._search(view.only(worst.remaining), start, clean, threat))
                if worst.done:
                    return worst.images
        return worst.images

    def _search(self, model: Victim, start: Tensor, x: Tensor, threat: Threat) -> Tensor:
        """The nearest success, (n, 3, s, s); the last point if there was none."""
        x_adv, best = start.clone(), start.clone()
        least = torch.full((len(x),), float("inf"), dtype=torch.float64, device=x.device)
        active = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            view, here, clean = model.only(active), x_adv[active], x[active]
            gradient, logits = input_gradient(view, here, Victim.margin)
            reached, away = view.reached(logits), threat.distance(here, clean)
            nearer = reached & (away < least[active])
            best[active[nearer]], least[active[nearer]] = here[nearer], away[nearer]
            inside = nearer & (away <= threat.eps)
            if inside.any():
                inside[inside.clone()] = broken_when_rounded(
                    view.only(inside), logits[inside], here[inside], clean[inside], threat
                )
                if inside.all():
                    break
                left = ~inside
                active, here, clean, gradient = active[left], here[left], clean[left], gradient[left]
                logits, reached, view = logits[left], reached[left], view.only(left)
            x_adv[active] = self._step(here, clean, view.margin(logits), gradient, reached, threat)
        missed = least.isinf()
        best[missed] = x_adv[missed]
        return self._drawn_back(model, best, x, threat, ~missed & (least > threat.eps))

    def _step(
        self, here: Tensor, clean: Tensor, margin: Tensor, gradient: Tensor, reached: Tensor, threat: Threat
    ) -> Tensor:
        """The next point: a weighted mean of projections from here and from the clean image, beyond the boundary."""
        base = torch.where(per_image(reached), clean + self.back * (here - clean), here)

        def beyond(point: Tensor) -> Tensor:
            there = margin + (gradient * (point - here)).sum(dim=(1, 2, 3))
            return project_to_boundary(point, there, gradient, threat.norm) - point

        from_here, from_clean = beyond(base), beyond(clean)
        near, far = (per_image(threat.distance(move, torch.zeros_like(move))) for move in (from_here, from_clean))
        part = (near / (near + far).clamp_min(1e-12)).clamp(0, self.most).to(here.dtype)
        further = 1 + self.overshoot
        mixed = (base + further * from_here) * (1 - part) + (clean + further * from_clean) * part
        return mixed.clamp(0, 1)

    def _drawn_back(self, model: Victim, found: Tensor, x: Tensor, threat: Threat, rows: Tensor) -> Tensor:
        """``found``, moved towards ``x`` at ``rows`` (n,) by bisection as long as the attack succeeds."""
        if not rows.any():
            return found
        view, clean, far = model.only(rows), x[rows], found[rows]
        near = clean
        for _ in range(_BISECTIONS):
            middle = (near + far) / 2
            reached = per_image(view.reached(view.logits(middle)))
            near, far = torch.where(reached, near, middle), torch.where(reached, middle, far)
        found[rows] = far
        return found
