"""Checks for signs that a robust accuracy is overstated.

After Carlini et al. 2019, arXiv:1902.06705, and Athalye, Carlini & Wagner 2018, arXiv:1802.00420. Every finding is
one sentence with its figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facevalue.evaluation import metrics
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, Value, finding
from facevalue.evidence.records import AttackFigures
from facevalue.models.classifier import Classifier, frozen
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.gradients import input_gradient, steepest
from facevalue.robustness.attacks.threat import Threat
from facevalue.robustness.attacks.victim import Victim
from facevalue.support import progress
from facevalue.support.formats import eps_text, percent

SAMPLE = 64
"""Number of images for :func:`of_model`."""

_PART = 16  # images at a time

_FLAT = 1e-3
"""In nats. A gradient is flat if moving all pixels over their whole range would change the log odds by less."""

_SAME = 1e-3
"""Probabilities of two runs are equal if they differ by less; different summation orders stay below this."""

_UPHILL = 1 / 255
"""A step of this length along a true gradient must raise the loss."""

_PLAUSIBLE = {
    "trained on clean images alone": ((16, 0.25), (8, 0.5)),
    "adversarially trained": ((32, 0.6), (16, 0.85), (8, 0.97)),
}
"""Pairs of grey levels, and the largest share of the clean accuracy that is plausible from that eps on.

Generous, for two easy classes: on CIFAR-10's ten classes, networks trained on clean images keep almost nothing at
8/255 and the best adversarially trained ones 79 % of their clean accuracy (RobustBench, Croce et al. 2021,
arXiv:2010.09670; Bartoldson et al. 2024, arXiv:2404.09349).
"""

_UNBOUNDED = (Threat("linf", 1.0), BIM(steps=40))
"""An attack that can reach any image, in steps of eight grey levels."""


def of_model(classifier: Classifier, x: Tensor, y: Tensor) -> list[Finding]:
    """Problems with attacks on this model, found on a few images x (n, 3, s, s) of classes y (n,).

    It reports runs that disagree, zero or misleading gradients, and an unbounded attack that does not break all images.
    It needs at most about 90 queries per image, usually fewer than 20.
    """
    warnings: list[Finding] = []
    n = len(x)
    with frozen(classifier), torch.no_grad():
        first, second = classifier.logits(x), classifier.logits(x)
        apart = (classifier.calibrated(first) - classifier.calibrated(second)).abs().amax(dim=1)
        differ = int((apart > _SAME).sum())
        if differ:
            flipped = int((classifier.decide(first) != classifier.decide(second)).sum())
            text = (
                f"the model is not deterministic: two runs differ by up to {float(apart.max()):.3f} in probability on "
                f"{differ} of {n} images ({flipped} get another label), so an attack may succeed by chance"
            )
            most = float(apart.max())
            warnings.append(
                finding("model-not-deterministic", text, difference=most, differ=differ, flipped=flipped, n=n)
            )
        warnings += _gradients(Victim(classifier, y), x)
    right = left = 0
    starts = range(0, n, _PART)
    for start in progress.track(starts, "checking whether the attacks are reliable", unit="batches"):
        part, labels = x[start : start + _PART], y[start : start + _PART]
        result = _UNBOUNDED[1](classifier, part, labels, _UNBOUNDED[0])
        right, left = right + int((result.clean_decisions == labels).sum()), left + int((~result.success).sum())
    if left > 0.05 * right:
        text = (
            f"an unbounded attack (linf 1: any image is allowed) fails on {left} of {right} images, so the "
            "attacks miss adversarial images that exist, and robust accuracy is overstated"
        )
        warnings.append(finding("unbounded-attack-fails", text, left=left, right=right))
    return warnings


def _gradients(model: Victim, x: Tensor) -> list[Finding]:
    n = len(x)
    climbed, logits = input_gradient(model, x)
    # A linearised bound on the change of the log odds if every pixel moves over its whole range.
    flat = int((climbed.abs().sum(dim=(1, 2, 3)) < _FLAT).sum())
    if flat:
        text = (
            f"the gradient is zero or nearly so on {flat} of {n} images ({percent(flat / n)}): gradient attacks "
            "cannot work there, and their robust accuracy is no evidence of robustness"
        )
        return [finding("gradients-zero", text, images=flat, n=n)]
    usual, _ = input_gradient(model, x, lambda m, z: nn.functional.cross_entropy(z, m.labels, reduction="none"))
    uphill = model.odds(model.logits((x + _UPHILL * climbed.sign()).clamp(0, 1)))
    down = int((uphill <= model.odds(logits)).sum())
    if down > max(0.1 * n, 1.5):
        text = (
            f"the loss does not rise along its gradient on {down} of {n} images ({percent(down / n)}; steps of one "
            "grey level): the gradient is misleading, and gradient attacks are too weak"
        )
        return [finding("gradients-misleading", text, images=down, n=n)]
    saturated = int((usual.abs().amax(dim=(1, 2, 3)) == 0).sum())
    if saturated:
        top = logits.topk(2, dim=1).values
        margin = float((top[:, 0] - top[:, 1]).median())
        text = (
            f"the gradient of cross-entropy is zero in float32 on {saturated} of {n} images "
            f"({percent(saturated / n)}; the softmax is saturated, the median logit margin is {margin:.3g}): "
            "attacks that use it would report a robust model; the attacks here use the log odds"
        )
        return [finding("softmax-saturated", text, images=saturated, n=n, median_margin=margin)]
    return []


def noisy(x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
    """Images with random noise as large as the threat allows, (n, 3, s, s) rounded to 8 bits: a control for attacks.

    ``linf``: every value up or down by eps; ``l2``: Gaussian noise of length eps.
    """
    noise = steepest(torch.randn(x.shape, generator=generator), threat.norm).to(x)
    return threat.rounded(threat.project(x + threat.eps * noise, x), x)


def of_results(
    results: Sequence[AttackFigures], noise: Mapping[float, float], clean_confusion: Sequence[Sequence[int]]
) -> list[Finding]:
    """Findings about attack figures that are not plausible.

    Parameters
    ----------
    results : all attacks at all eps, of one norm.
    noise : accuracy under :func:`noisy`, by eps.
    clean_confusion : (k, k) counts; rows are the true classes, columns the predictions.
    """
    return [
        *_low_clean_accuracy(clean_confusion),
        *rising(results),
        *no_better_than_noise(results, noise),
        *black_box_ahead(results),
    ]


def rising(results: Sequence[AttackFigures]) -> list[Finding]:
    """A finding for each attack whose robust accuracy rises with eps by more than one point and one image.

    A larger ball contains the smaller one, and the images are the same at every eps, so a rise shows a failing attack.
    One point is allowed for the attack's randomness.
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
            text = (
                f"robust accuracy rises with eps: under {attack} ({norm}) it is {percent(low.robust_accuracy)} at "
                f"{eps_text(low.eps, low.norm)} and {percent(high.robust_accuracy)} at "
                f"{eps_text(high.eps, high.norm)} (n = {high.n}), so "
                "the attack misses adversarial images that exist even at a smaller eps"
            )
            warnings.append(
                finding(
                    "robust-accuracy-rises",
                    text,
                    attack=attack,
                    norm=norm,
                    eps=(low.eps, high.eps),
                    robust_accuracy=(low.robust_accuracy, high.robust_accuracy),
                    n=high.n,
                )
            )
    return warnings


def no_better_than_noise(results: Sequence[AttackFigures], noise: Mapping[float, float]) -> list[Finding]:
    """A finding for each attack that is at no eps above 0 stronger than random noise."""
    warnings = []
    for (attack, norm), rows in _by_attack(results).items():
        compared = [row for row in rows if row.eps > 0 and row.eps in noise and row.clean_accuracy > 0]
        if compared and all(row.robust_accuracy >= noise[row.eps] for row in compared):
            row = compared[-1]
            text = (
                f"{attack} ({norm}) is never better than random noise of the same size: at "
                f"{eps_text(row.eps, row.norm)} "
                f"accuracy is {percent(row.robust_accuracy)} under attack and {percent(noise[row.eps])} under noise "
                f"(n = {row.n})"
            )
            warnings.append(
                finding(
                    "attack-no-better-than-noise",
                    text,
                    attack=attack,
                    norm=norm,
                    eps=row.eps,
                    robust_accuracy=row.robust_accuracy,
                    noise_accuracy=noise[row.eps],
                    n=row.n,
                )
            )
    return warnings


def black_box_ahead(results: Sequence[AttackFigures]) -> list[Finding]:
    """A finding if an attack without gradients succeeds on images where gradient attacks fail.

    By more than one point and one image, at any eps.
    """
    warnings = []
    for row in results:
        allowed = max(0.01, 1.5 / row.n)
        late = sum(count for part, count in row.found_by.items() if find(_plain(part)).black_box)
        if late / row.n > allowed:
            text = (
                f"black box beats white box: at {row.norm} {eps_text(row.eps, row.norm)} square, which uses no "
                "gradient, "
                f"succeeded on {late} of {row.n} images that the suite's gradient attacks had left: the "
                "gradients are misleading"
            )
            warnings.append(
                finding("black-box-beats-white-box", text, norm=row.norm, eps=row.eps, images=late, n=row.n)
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
                text = (
                    f"black box beats white box: at {row.norm} {eps_text(row.eps, row.norm)} robust accuracy is "
                    f"{percent(row.robust_accuracy)} under {row.attack} and {percent(best.robust_accuracy)} under "
                    f"{best.attack} (n = {row.n}): the gradients are misleading, or the white-box attack has too few "
                    "steps"
                )
                warnings.append(
                    finding(
                        "black-box-beats-white-box",
                        text,
                        norm=row.norm,
                        eps=row.eps,
                        black_box=row.attack,
                        black_box_accuracy=row.robust_accuracy,
                        white_box=best.attack,
                        white_box_accuracy=best.robust_accuracy,
                        n=row.n,
                    )
                )
    return warnings


def _plain(part: str) -> str:
    return part.partition("-")[0]


def implausibly_robust(
    results: Sequence[AttackFigures], card: ModelCard, clean_confusion: Sequence[Sequence[int]]
) -> list[Finding]:
    """A finding if robust accuracy under the strongest attack at an eps is impossible or implausible.

    Impossible: from ``linf`` 1/2 on, mid grey is in the ball of every image, so robust accuracy is at most the share of
    the most frequent class. Implausible: the lower end of the 95 % interval is above :data:`_PLAUSIBLE`; an L2 eps is
    converted to grey levels by its root mean square.
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
        at = f"at {row.norm} {eps_text(row.eps, row.norm)} robust accuracy is"
        under = f"under {row.attack}, the strongest attack of this run"
        values: dict[str, Value] = {
            "attack": row.attack,
            "norm": row.norm,
            "eps": row.eps,
            "robust_accuracy": row.robust_accuracy,
            "n": row.n,
        }
        if row.norm == "linf" and row.eps >= 0.5 and row.robust_accuracy > most + 1.5 / row.n:
            text = (
                f"{at} {percent(row.robust_accuracy)} {under} (n = {row.n}), but every image can be changed to mid "
                f"grey, so more than {percent(most)} (the most frequent class) is impossible: the attack fails"
            )
            warnings.append(finding("robust-accuracy-impossible", text, **values, possible=most))
            continue
        levels = 255 * row.eps / (1 if row.norm == "linf" else math.sqrt(3) * card.preprocessing.size)
        part = next((part for limit, part in _PLAUSIBLE[kind] if levels >= limit - 1e-6), 1.0)
        if row.clean_accuracy > 0 and row.robust_ci[0] > part * row.clean_accuracy:
            text = (
                f"{at} {percent(row.robust_accuracy)} {under}, and clean accuracy {percent(row.clean_accuracy)} "
                f"(n = {row.n}); networks {kind} keep at most {percent(part)} of their clean accuracy there unless "
                "gradients are masked: run the suite, and if it agrees, find the cause of the masking"
            )
            warnings.append(
                finding(
                    "robust-accuracy-implausible",
                    text,
                    **values,
                    clean_accuracy=row.clean_accuracy,
                    plausible=part * row.clean_accuracy,
                )
            )
    return warnings


def _low_clean_accuracy(clean_confusion: Sequence[Sequence[int]]) -> list[Finding]:
    table = np.asarray(clean_confusion)
    n, right, of_class = int(table.sum()), int(np.trace(table)), table.sum(axis=1)
    # With images of only one class, a constant prediction would be right on all: compare with chance instead.
    chance = of_class.max() / n if (of_class > 0).sum() > 1 else 1 / len(table)
    low, high = metrics.wilson(right, n)
    if low > chance:
        return []
    text = (
        f"clean accuracy is {percent(right / n)} ({percent(low)} to {percent(high)}, n = {n}), not significantly above "
        f"the {percent(chance)} of always predicting one class, so robust accuracy has little meaning"
    )
    return [finding("low-clean-accuracy", text, accuracy=right / n, low=low, high=high, n=n, chance=float(chance))]


def _by_attack(results: Sequence[AttackFigures]) -> dict[tuple[str, str], list[AttackFigures]]:
    groups: dict[tuple[str, str], list[AttackFigures]] = {}
    for row in sorted(results, key=lambda r: r.eps):
        groups.setdefault((row.attack, row.norm), []).append(row)
    return groups
