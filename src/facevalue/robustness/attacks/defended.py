"""Attacks a defended model twice: blind (ignores the defence) and adaptive (through the defence)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.findings import Finding, Value, finding
from facevalue.evidence.records import DISTILLATION, AttackFigures, AttackReport
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.robustness import defenses
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.adversarial_images import AdversarialFolder
from facevalue.robustness.attacks.base import Attack, Norm, Threat
from facevalue.robustness.attacks.campaign import attack_dataset
from facevalue.robustness.attacks.examples import Example
from facevalue.robustness.defenses.base import Defense
from facevalue.robustness.defenses.distillation import through_softmax
from facevalue.support import progress
from facevalue.support.formats import eps_text, percent

_BATCH = 32


def defense_of(classifier: Classifier) -> str | None:
    """The defence in the weights: ``distillation`` for a defensively distilled model, else ``None``."""
    return DISTILLATION if DISTILLATION in classifier.card.hardened else None


def attack_defended(
    classifier: Classifier,
    dataset: ImageDataset,
    attacks: Sequence[str | Attack],
    norm: str,
    eps: Sequence[float],
    *,
    defense: str | Defense,
    target: str | None = None,
    save_to: AdversarialFolder | None = None,
    seed: int = 0,
) -> tuple[AttackReport, tuple[Example, ...]]:
    """Run each attack at each eps on a defended model, blind and adaptive.

    Parameters
    ----------
    target : class that the attacker wants to be predicted; ``None``: any wrong class.
    save_to : receives the images of the adaptive attacks.
    defense : a name in :data:`facevalue.robustness.defenses.DEFENSES`, or a configured one; the blind attacks are then
        made against the model without it. With ``distillation``, which is in the weights, the blind attacks use the
        probabilities instead of the logits.

    Returns
    -------
    A report with rows in pairs (``adaptive`` false, then true) and a warning if only the blind attack is stopped; and
    examples of the adaptive attacks.

    Raises
    ------
    UsageError
        There is no such defence.
    """
    start = time.perf_counter()
    if defense == DISTILLATION:
        name, behind, seen = DISTILLATION, classifier, through_softmax(classifier)
    else:
        before = defenses.find(defense) if isinstance(defense, str) else defense
        name, behind, seen = before.title, defenses.defended(classifier, before, seed), classifier
    chosen = {a.title: a for a in (find(one) if isinstance(one, str) else one for one in attacks)}
    report, examples = attack_dataset(behind, dataset, attacks, norm, eps, target=target, save_to=save_to, seed=seed)
    adaptive = [row.changed(adaptive=True, defense=name) for row in report.results]
    blind = [
        transferred(seen, behind, dataset, chosen[row.attack], Threat(cast(Norm, norm), row.eps), target, seed).changed(
            defense=name
        )
        for row in adaptive
    ]
    rows = tuple(row for pair in zip(blind, adaptive, strict=True) for row in pair)
    provenance = report.provenance.changed(seconds=time.perf_counter() - start)
    warnings = (*report.warnings, *masked(blind, adaptive))
    return report.changed(results=rows, warnings=warnings, provenance=provenance), examples


def transferred(
    seen: Classifier,
    behind: Classifier,
    dataset: ImageDataset,
    attack: Attack,
    threat: Threat,
    target: str | None = None,
    seed: int = 0,
) -> AttackFigures:
    """Figures on the model ``behind`` for adversarial images made against the model ``seen``, rounded to 8 bits."""
    k = len(dataset.classes)
    aim = None if target is None else dataset.classes.index(target)
    table, clean, n = np.zeros((k, k), np.int64), 0, 0
    robust = unrounded = queries = 0
    distance = seconds = 0.0
    turned = aimed = 0
    with progress.work(f"{attack.title} {threat}, blind", len(dataset)) as work:
        for pixels, labels in dataset.batches(_BATCH):
            x, y = to_tensor(pixels), torch.from_numpy(labels)
            result = attack(seen, x, y, threat, target=aim, seed=seed + n)
            with frozen(behind), torch.no_grad():
                before, after, whole = (
                    behind.decide(behind.logits(part.to(behind.mean.device))).cpu()
                    for part in (x, result.adversarial, result.unrounded)
                )
            right = before == y
            # As for all attacks, an image that was wrong before the attack keeps its prediction.
            decided = torch.where(right, after, before)
            table += metrics.confusion(labels, decided.numpy(), k)
            clean += int(right.sum())
            robust += int((decided == y).sum())
            unrounded += int((right & (whole == y)).sum())
            of_others = right & (y != aim) if aim is not None else right
            fell = of_others & (after == aim if aim is not None else after != y)
            aimed += int(of_others.sum())
            turned += int(fell.sum())
            distance += float(result.distances.cpu()[fell].sum())
            queries += int(result.queries.sum())
            seconds += result.seconds
            n += len(y)
            work.advance(len(y), f"{percent(robust / n)} robust")
    return AttackFigures(
        attack=attack.title,
        norm=threat.norm,
        eps=threat.eps,
        n=n,
        clean_accuracy=clean / n,
        robust_accuracy=robust / n,
        robust_ci=metrics.wilson(robust, n),
        robust_accuracy_unrounded=unrounded / n,
        confusion=tuple(tuple(int(v) for v in row) for row in table),
        mean_distance=distance / max(1, turned),
        queries=queries,
        seconds=seconds,
        target=target,
        target_rate=None if target is None or not aimed else turned / aimed,
    )


def masked(blind: Sequence[AttackFigures], adaptive: Sequence[AttackFigures]) -> Iterator[Finding]:
    """Findings for each attack whose blind and adaptive robust accuracies differ significantly.

    Parameters
    ----------
    blind, adaptive : pairs of the same attack, norm and eps.
    """
    for attack in dict.fromkeys(row.attack for row in adaptive):
        pairs = [(b, a) for b, a in zip(blind, adaptive, strict=True) if a.attack == attack]
        b, a = max(pairs, key=lambda pair: pair[0].robust_ci[0] - pair[1].robust_ci[1])
        comparison = (
            f"robust accuracy under {a.attack} at {eps_text(a.eps, a.norm)} ({a.norm}) is "
            f"{percent(b.robust_accuracy)} when the attack "
            f"ignores the defence and {percent(a.robust_accuracy)} when it goes through it (n = {a.n})"
        )
        if b.robust_ci[0] > a.robust_ci[1]:
            text = f"{a.defense} only hides gradients: {comparison}; the second figure is the worth of the defence"
            yield finding("gradients-masked", text, **_values(b, a))
        b, a = min(pairs, key=lambda pair: pair[0].robust_ci[1] - pair[1].robust_ci[0])
        if b.robust_ci[1] < a.robust_ci[0]:
            text = (
                f"the attack through {a.defense} is too weak: robust accuracy under {a.attack} at "
                f"{eps_text(a.eps, a.norm)} "
                f"({a.norm}) is {percent(a.robust_accuracy)}, and {percent(b.robust_accuracy)} when the attack "
                f"ignores the defence (n = {a.n}); use the lower figure"
            )
            yield finding("adaptive-attack-too-weak", text, **_values(b, a))


def _values(blind: AttackFigures, adaptive: AttackFigures) -> dict[str, Value]:
    return {
        "attack": adaptive.attack,
        "norm": adaptive.norm,
        "eps": adaptive.eps,
        "defense": adaptive.defense,
        "blind": blind.robust_accuracy,
        "adaptive": adaptive.robust_accuracy,
        "n": adaptive.n,
    }
