"""Signs that a robust accuracy is not what it seems.

After Carlini et al. 2019, arXiv:1902.06705, and Athalye, Carlini & Wagner 2018, arXiv:1802.00420. Every warning is one
sentence with its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facevalue.evaluation import metrics
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import AttackFigures
from facevalue.models.classifier import Classifier, frozen
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.gradients import input_gradient, steepest
from facevalue.robustness.attacks.threat import Threat
from facevalue.robustness.attacks.victim import Victim
from facevalue.support.formats import eps_text, percent

SAMPLE = 64
"""Images that :func:`of_model` is asked about at most."""

_FLAT = 1e-3
"""Nats. Log odds that all pixels together, moved over their whole range, would change by less are flat."""

_SAME = 1e-3
"""Probabilities that differ by less between two runs are the same: sums in another order make no such difference."""

_UPHILL = 1 / 255
"""So short a step along the gradient must raise the loss, or it is not the loss's gradient."""

_PLAUSIBLE = {
    "trained on clean images alone": ((16, 0.25), (8, 0.5)),
    "adversarially trained": ((32, 0.6), (16, 0.85), (8, 0.97)),
}
"""Grey levels, and the part of the clean accuracy that defences without gradient masking keep at most from there on.

Generous, for two easy classes: of CIFAR-10's ten classes, networks trained on clean images keep next to nothing at
8/255 and the best adversarially trained ones 79 % of their clean accuracy (RobustBench, Croce et al. 2021,
arXiv:2010.09670; Bartoldson et al. 2024, arXiv:2404.09349).
"""

_UNBOUNDED = (Threat("linf", 1.0), BIM(steps=40))
"""Any image is in reach, by steps of eight grey levels."""


def of_model(classifier: Classifier, x: Tensor, y: Tensor) -> list[str]:
    """What is wrong with attacking this model at all, seen on a few images x (n, 3, s, s) of classes y (n,).

    Two runs that disagree, gradients that are zero or lead down, and an attack without bound that leaves images
    standing. It costs at most some 90 questions about each of the images, most often fewer than 20.
    """
    warnings: list[str] = []
    n = len(x)
    with frozen(classifier), torch.no_grad():
        first, second = classifier.logits(x), classifier.logits(x)
        apart = (classifier.calibrated(first) - classifier.calibrated(second)).abs().amax(dim=1)
        differ = int((apart > _SAME).sum())
        if differ:
            flipped = int((classifier.decide(first) != classifier.decide(second)).sum())
            warnings.append(
                f"the model is not deterministic: two runs differ by up to {float(apart.max()):.3f} in probability on "
                f"{differ} of {n} images ({flipped} decided otherwise), so a success may be luck"
            )
        warnings += _gradients(Victim(classifier, y), x)
    result = _UNBOUNDED[1](classifier, x, y, _UNBOUNDED[0])
    right, left = int((result.clean_decisions == y).sum()), int((~result.success).sum())
    if left > 0.05 * right:
        warnings.append(
            f"an attack without bound (linf 1, any image is in reach) leaves {left} of {right} images right: "
            "the attacks do not find what is there, and robust accuracy is overstated"
        )
    return warnings


def _gradients(model: Victim, x: Tensor) -> list[str]:
    n = len(x)
    climbed, logits = input_gradient(model, x)
    # A linearised bound: by how much the log odds could change if every pixel moved over its whole range.
    flat = int((climbed.abs().sum(dim=(1, 2, 3)) < _FLAT).sum())
    if flat:
        return [
            f"the gradient is zero or nearly so on {flat} of {n} images ({percent(flat / n)}): gradient attacks are "
            "blind there, and their robust accuracy is no evidence of robustness"
        ]
    usual, _ = input_gradient(model, x, lambda m, z: nn.functional.cross_entropy(z, m.labels, reduction="none"))
    uphill = model.odds(model.logits((x + _UPHILL * climbed.sign()).clamp(0, 1)))
    down = int((uphill <= model.odds(logits)).sum())
    if down > max(0.1 * n, 1.5):
        return [
            f"the loss does not go up along its gradient on {down} of {n} images ({percent(down / n)}; steps of one "
            "grey level): the gradient misleads, and gradient attacks find less than there is"
        ]
    saturated = int((usual.abs().amax(dim=(1, 2, 3)) == 0).sum())
    if saturated:
        top = logits.topk(2, dim=1).values
        margin = float((top[:, 0] - top[:, 1]).median())
        return [
            f"the gradient of cross-entropy is zero in float32 on {saturated} of {n} images "
            f"({percent(saturated / n)}; the softmax is saturated, the median logit margin is {margin:.3g}): "
            "an attack that climbs it would call the model robust; those here climb the log odds"
        ]
    return []


def noisy(x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
    """Random noise as large as the threat allows, (n, 3, s, s) rounded to 8 bits: the control beside every attack.

    ``linf``: every channel of every pixel up or down by eps; ``l2``: Gaussian noise of length eps.
    """
    noise = steepest(torch.randn(x.shape, generator=generator), threat.norm).to(x)
    return threat.rounded(threat.project(x + threat.eps * noise, x), x)


def of_results(
    results: Sequence[AttackFigures], noise: Mapping[float, float], clean_confusion: Sequence[Sequence[int]]
) -> list[str]:
    """What the figures themselves say against them.

    Parameters
    ----------
    results : all attacks at all eps, of one norm.
    noise : accuracy under :func:`noisy`, by eps.
    clean_confusion : (k, k), rows the truth, columns the decision.
    """
    return [
        *_low_clean_accuracy(clean_confusion),
        *rising(results),
        *no_better_than_noise(results, noise),
        *black_box_ahead(results),
    ]


def rising(results: Sequence[AttackFigures]) -> list[str]:
    """One sentence for each attack whose robust accuracy rises with eps, by more than a point and more than an image.

    A larger ball holds the smaller one. The images are the same at every eps, so sampling is no excuse; a point is
    left for the attack's own randomness.
    """
    warnings = []
    for (attack, norm), rows in _by_attack(results).items():
        best = rows[0]
        worst_rise: tuple[float, AttackFigures, AttackFigures] | None = None
        for row in rows[1:]:
            rise = row.robust_accuracy - best.robust_accuracy
            if rise > max(0.01, 1.5 / row.n) and (worst_rise is None or rise > worst_rise[0]):
                worst_rise = (rise, best, row)
            best = min(best, row, key=lambda r: r.robust_accuracy)
        if worst_rise is not None:
            _, low, high = worst_rise
            warnings.append(
                f"robust accuracy rises with eps: {attack} ({norm}) leaves {percent(low.robust_accuracy)} right at "
                f"{eps_text(low.eps, norm)} and {percent(high.robust_accuracy)} at {eps_text(high.eps, norm)} "
                f"(n = {high.n}), so it misses what the smaller ball holds"
            )
    return warnings


def no_better_than_noise(results: Sequence[AttackFigures], noise: Mapping[float, float]) -> list[str]:
    """One sentence for each attack that, at no eps above 0, leaves fewer images right than random noise does."""
    warnings = []
    for (attack, norm), rows in _by_attack(results).items():
        compared = [row for row in rows if row.eps > 0 and row.eps in noise and row.clean_accuracy > 0]
        if compared and all(row.robust_accuracy >= noise[row.eps] for row in compared):
            row = compared[-1]
            warnings.append(
                f"{attack} ({norm}) is never better than random noise of the same size: at "
                f"{eps_text(row.eps, norm)} it leaves {percent(row.robust_accuracy)} right, noise "
                f"{percent(noise[row.eps])} (n = {row.n})"
            )
    return warnings


def black_box_ahead(results: Sequence[AttackFigures]) -> list[str]:
    """A sentence where an attack without gradients turns what those with gradients leave: they were misled.

    By more than a point and more than an image, at any eps.
    """
    warnings = []
    for row in results:
        allowed = max(0.01, 1.5 / row.n)
        late = sum(count for part, count in row.found_by.items() if find(_plain(part)).black_box)
        if late / row.n > allowed:
            warnings.append(
                f"black box beats white box: at {row.norm} {eps_text(row.eps, row.norm)} square, which sees no "
                f"gradient, turned {late} of {row.n} images that the suite's gradient attacks had left: "
                "gradients mislead here"
            )
        if not find(row.attack.partition("(")[0]).black_box:
            continue
        beside = [
            r
            for r in results
            if (r.norm, r.eps) == (row.norm, row.eps) and not find(r.attack.partition("(")[0]).black_box
        ]
        if beside:
            best = min(beside, key=lambda r: r.robust_accuracy)
            if row.robust_accuracy < best.robust_accuracy - allowed:
                warnings.append(
                    f"black box beats white box: at {row.norm} {eps_text(row.eps, row.norm)} {row.attack} leaves "
                    f"{percent(row.robust_accuracy)} right and {best.attack} {percent(best.robust_accuracy)} "
                    f"(n = {row.n}): gradients mislead here, or the white-box attack is too short"
                )
    return warnings


def _plain(part: str) -> str:
    return part.partition("-")[0]


def too_good(results: Sequence[AttackFigures], card: ModelCard, clean_confusion: Sequence[Sequence[int]]) -> list[str]:
    """A sentence where the strongest attack of an eps leaves more right than can be, or than is plausible.

    Two rules. Whatever the model: from ``linf`` 1/2 on mid grey is in every image's ball, so that no more can be
    right than the share of the most frequent class. And by :data:`_PLAUSIBLE`, with the lower end of the 95 % interval
    and an L2 eps counted as the grey levels of its root mean square.
    """
    table = np.asarray(clean_confusion)
    most = float(table.sum(axis=1).max() / table.sum())
    kind = "adversarially trained" if "adversarial" in card.hardened else "trained on clean images alone"
    strongest: dict[tuple[str, float], AttackFigures] = {}
    for row in results:
        best = strongest.setdefault((row.norm, row.eps), row)
        if row.robust_accuracy < best.robust_accuracy:
            strongest[row.norm, row.eps] = row
    warnings = []
    for row in strongest.values():
        at = f"at {row.norm} {eps_text(row.eps, row.norm)} {row.attack}, the strongest attack of this run, leaves"
        if row.norm == "linf" and row.eps >= 0.5 and row.robust_accuracy > most + 1.5 / row.n:
            warnings.append(
                f"{at} {percent(row.robust_accuracy)} right (n = {row.n}), but mid grey is within reach of every "
                f"image and more than {percent(most)}, the most frequent class, cannot be: the attack fails"
            )
            continue
        levels = 255 * row.eps / (1 if row.norm == "linf" else math.sqrt(3) * card.preprocessing.size)
        part = next((part for limit, part in _PLAUSIBLE[kind] if levels >= limit - 1e-6), 1.0)
        if row.clean_accuracy > 0 and row.robust_ci[0] > part * row.clean_accuracy:
            warnings.append(
                f"{at} {percent(row.robust_accuracy)} right of {percent(row.clean_accuracy)} (n = {row.n}); networks "
                f"{kind} keep at most {percent(part)} of their clean accuracy there without masking gradients: "
                "run the suite, and if it agrees look for what hides the gradients"
            )
    return warnings


def _low_clean_accuracy(clean_confusion: Sequence[Sequence[int]]) -> list[str]:
    table = np.asarray(clean_confusion)
    n, right, of_class = int(table.sum()), int(np.trace(table)), table.sum(axis=1)
    # Images of one class only say nothing of always answering that class; there chance is the yardstick.
    chance = of_class.max() / n if (of_class > 0).sum() > 1 else 1 / len(table)
    low, high = metrics.wilson(right, n)
    if low > chance:
        return []
    return [
        f"clean accuracy is {percent(right / n)} ({percent(low)} to {percent(high)}, n = {n}), not surely above the "
        f"{percent(chance)} of always giving one answer: there is little for an attack to break"
    ]


def _by_attack(results: Sequence[AttackFigures]) -> dict[tuple[str, str], list[AttackFigures]]:
    groups: dict[tuple[str, str], list[AttackFigures]] = {}
    for row in sorted(results, key=lambda r: r.eps):
        groups.setdefault((row.attack, row.norm), []).append(row)
    return groups
