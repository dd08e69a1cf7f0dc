"""``attack``: accuracy when an attacker changes the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from facevalue.api.common.inputs import EvaluationContext, Model
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evidence.provenance import recorded
from facevalue.evidence.records import AttackReport
from facevalue.reports import plots
from facevalue.robustness.attacks.adversarial_images import check_free, saved
from facevalue.robustness.attacks.base import Attack
from facevalue.robustness.attacks.campaign import attack_dataset
from facevalue.robustness.attacks.defended import attack_defended, defense_of
from facevalue.robustness.attacks.single_inputs import scored_once
from facevalue.robustness.defenses.base import Defense

_EPS = {"linf": (1 / 255, 2 / 255, 4 / 255, 8 / 255), "l2": (0.25, 0.5, 1.0, 2.0)}


@recorded
def attack(
    model: Model,
    data: Data,
    *,
    attacks: str | Attack | Sequence[str | Attack] = ("fgsm",),
    norm: str = "linf",
    eps: float | Sequence[float] | None = None,
    defense: str | Defense | None = None,
    target: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    plot: Path | str | None = None,
    sheet: Path | str | None = None,
    save_images: Path | str | None = None,
    save: bool = True,
) -> AttackReport:
    """Measure robust accuracy under each attack at each eps.

    Parameters
    ----------
    model, data, classes, save : as for :func:`facevalue.evaluate`.
    attacks : names in :data:`facevalue.attacks.ATTACKS`, or configured ones: ``facevalue.attacks.PGD(steps=50)``.
    norm : ``linf`` or ``l2``.
    eps : radii for pixels of the network input in [0, 1]; by default 1, 2, 4 and 8/255 for ``linf``, and 0.25, 0.5, 1
        and 2 for ``l2``.
    defense : a name in :data:`facevalue.defenses.DEFENSES` or a configured one, applied before the model. Each attack
        then runs twice: blind (it ignores the defence) and adaptive (through the defence). A defensively distilled
        model is always attacked both ways.
    target : class that the attacker wants to be predicted; by default any wrong class counts as a success.
    limit : attack at most this many images, drawn evenly from the classes.
    plot : path for a PNG of accuracy against eps.
    sheet : path for a PNG of originals, perturbations and adversarial images.
    save_images : a new folder for all adversarial images, as PNGs of the network input under
        ``ATTACK-NORM-EPS/CLASS/``, and ``images.csv``. With a defence, those of the adaptive attack.

    Raises
    ------
    UsageError
        An attack, the norm, the target or an eps is invalid, or ``save_images`` is not empty.
    """
    attacks = (attacks,) if isinstance(attacks, str | Attack) else tuple(attacks)
    wrong = [one for one in attacks if not isinstance(one, str | Attack)]
    if wrong:
        raise UsageError(f"Expected attacks by name or configured, such as PGD(steps=50), but got {wrong[0]!r}")
    if isinstance(eps, int | float):
        eps = (eps,)
    if eps is not None and any(isinstance(value, bool) or not isinstance(value, int | float) for value in eps):
        raise UsageError(f"Expected eps as numbers such as 4 / 255, but got {list(eps)!r}")
    if save_images is not None:
        check_free(Path(save_images))
    context = EvaluationContext.of(model, data, classes=classes, limit=limit, seed=seed, save=save)
    classifier, dataset = context.classifier, context.dataset
    defense = defense_of(classifier) if defense is None else defense
    if eps is None:
        eps = _EPS.get(norm, _EPS["linf"])  # an unknown norm raises an error in Threat
    with saved(Path(save_images), dataset) if save_images is not None else nullcontext() as to:
        if defense is None:
            report, examples = attack_dataset(
                classifier, dataset, attacks, norm, eps, target=target, save_to=to, seed=seed
            )
        else:
            report, examples = attack_defended(
                classifier, dataset, attacks, norm, eps, defense=defense, target=target, save_to=to, seed=seed
            )
    report = context.finished(report.changed(warnings=(*report.warnings, *scored_once(classifier.card))))
    if plot is not None:
        plots.save_png(plots.accuracy_against_eps(report), Path(plot))
    if sheet is not None:
        from facevalue.robustness.attacks.sheet import draw_sheet

        draw_sheet(examples, Path(sheet))
    return report
