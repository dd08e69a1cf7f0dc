"""Runs attacks over a dataset: the figures, warnings about them, and example images."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.errors import DataError, UsageError
from facevalue.evaluation import metrics
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AttackFigures, AttackReport, NoiseFigures
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.robustness import sanity_checks
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.adversarial_images import AdversarialFolder
from facevalue.robustness.attacks.base import Attack, AttackResult
from facevalue.robustness.attacks.examples import AN_ATTACK, Example, turned
from facevalue.robustness.attacks.threat import Norm, Threat
from facevalue.support import progress
from facevalue.support.formats import percent


def attack_dataset(
    classifier: Classifier,
    dataset: ImageDataset,
    attacks: Sequence[str | Attack],
    norm: str,
    eps: Sequence[float],
    *,
    target: str | None = None,
    save_to: AdversarialFolder | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> tuple[AttackReport, tuple[Example, ...]]:
    """Run each attack at each eps over the images.

    Parameters
    ----------
    attacks : names in :data:`facevalue.robustness.attacks.ATTACKS`, or configured ones.
    norm : ``linf`` or ``l2``.
    eps : radii in [0, 1] units of the network input.
    target : class that the attacker wants to be predicted; ``None``: any wrong class.
    save_to : receives every adversarial image.
    batch_size : images attacked at a time.
    seed : of the attacks' random starts and of the random noise for comparison.

    Returns
    -------
    The report, and for each attack a few example images per class, at the smallest eps with a success on that class.

    Raises
    ------
    UsageError
        An attack, the norm, the target or an eps is unknown or out of range, or there is no attack or eps.
    DataError
        There is no image, or the images have other classes than the model.
    """
    start = time.perf_counter()
    chosen = [find(attack) if isinstance(attack, str) else attack for attack in dict.fromkeys(attacks)]
    threats = [Threat(cast(Norm, norm), value) for value in dict.fromkeys(eps)]  # Threat checks the norm
    if not chosen or not threats:
        raise UsageError(f"Expected at least one attack and one eps, but got {list(attacks)} and {list(eps)}")
    _check(classifier, dataset)
    if target is not None and target not in dataset.classes:
        raise UsageError(f"there is no class {target!r} for `target`; the classes are {', '.join(dataset.classes)}")
    k = len(dataset.classes)
    aim = None if target is None else dataset.classes.index(target)
    tallies = [_Tally(attack, threat, k, aim) for attack in chosen for threat in threats]
    right_under_noise = {threat.eps: 0 for threat in threats}
    clean_confusion = np.zeros((k, k), np.int64)
    done = 0
    kinds = {tally.what: len(dataset) for tally in tallies}
    with progress.work("attacking", kinds=kinds, uneven=True) as work:
        for pixels, labels in dataset.batches(batch_size):
            x, y = _tensors(pixels, labels)
            clean = None
            for tally in tallies:
                # A different seed for every batch, but the same for every attack and eps.
                result = tally.attack(
                    classifier,
                    x,
                    y,
                    tally.threat,
                    target=aim,
                    seed=seed + done,
                    say=partial(_say, work, tally.what),
                )
                tally.add(classifier, x, result)
                clean = result.clean_decisions.cpu()
                if save_to is not None:
                    save_to.add(tally.attack.title, tally.threat, done, result)
                work.advance(len(y), f"{tally.what}: {percent(tally.robust_accuracy)} robust", tally.what)
            assert clean is not None
            clean_confusion += metrics.confusion(labels, clean.numpy(), k)
            for threat in threats:
                right_under_noise[threat.eps] += _right_under_noise(classifier, x, y, clean, threat, seed + done)
            done += len(y)
    results = tuple(tally.figures(dataset.classes) for tally in tallies)
    noise = tuple(
        NoiseFigures(norm=norm, eps=e, n=done, accuracy=right / done, accuracy_ci=metrics.wilson(right, done))
        for e, right in right_under_noise.items()
    )
    sample = dataset.some(sanity_checks.SAMPLE, seed)
    x, y = _tensors(sample.pixels("decoding images for the checks"), sample.labels)
    device = classifier.mean.device
    doubts = sanity_checks.of_model(classifier, x.to(device), y.to(device))
    table = clean_confusion.tolist()
    warnings = [*doubts, *sanity_checks.of_results(results, {r.eps: r.accuracy for r in noise}, table)]
    if target is None:
        warnings += sanity_checks.implausibly_robust(results, classifier.card, table)
    report = AttackReport(
        provenance=Provenance.of(dataset, start, seed),
        classes=dataset.classes,
        clean_confusion=_rows(clean_confusion),
        results=results,
        noise=noise,
        warnings=tuple(warnings),
    )
    return report, tuple(_first(tallies))


@dataclass
class _Tally:
    """Running totals of one attack at one eps."""

    attack: Attack
    threat: Threat
    k: int
    target: int | None
    confusion: NDArray[np.int64] = field(init=False)
    n: int = 0
    clean: int = 0
    robust: int = 0
    robust_unrounded: int = 0
    turned: int = 0
    aimed: int = 0
    found_by: dict[str, int] = field(default_factory=dict)
    distance: float = 0.0
    queries: int = 0
    seconds: float = 0.0
    examples: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.k, self.k), np.int64)

    @property
    def what(self) -> str:
        return f"{self.attack.title} {self.threat}"

    @property
    def robust_accuracy(self) -> float:
        return self.robust / self.n

    def add(self, classifier: Classifier, x: Tensor, result: AttackResult) -> None:
        y = result.labels
        self.confusion += metrics.confusion(y.cpu().numpy(), result.decisions.cpu().numpy(), self.k)
        self.n += len(y)
        self.clean += int((result.clean_decisions == y).sum())
        self.robust += int((result.decisions == y).sum())
        self.robust_unrounded += int((result.decisions_unrounded == y).sum())
        self.turned += int(result.turned.sum())
        right = result.clean_decisions == y
        self.aimed += int((right & (y != self.target)).sum()) if self.target is not None else 0
        for part in filter(None, result.found_by):
            self.found_by[part] = self.found_by.get(part, 0) + 1
        self.distance += float(result.distances[result.turned].sum())
        self.queries += int(result.queries.sum())
        self.seconds += result.seconds
        if len(self.examples) < AN_ATTACK:
            with frozen(classifier):
                name, norm, eps = self.attack.title, self.threat.norm, self.threat.eps
                self.examples += turned(classifier, name, norm, eps, x, result, self.examples)

    def figures(self, classes: Sequence[str]) -> AttackFigures:
        return AttackFigures(
            attack=self.attack.title,
            norm=self.threat.norm,
            eps=self.threat.eps,
            n=self.n,
            clean_accuracy=self.clean / self.n,
            robust_accuracy=self.robust_accuracy,
            robust_ci=metrics.wilson(self.robust, self.n),
            robust_accuracy_unrounded=self.robust_unrounded / self.n,
            confusion=_rows(self.confusion),
            mean_distance=self.distance / max(1, self.turned),
            queries=self.queries,
            seconds=self.seconds,
            target=None if self.target is None else classes[self.target],
            target_rate=None if self.target is None or not self.aimed else self.turned / self.aimed,
            found_by=self.found_by,
        )


def _say(work: progress.Work, what: str, text: str) -> None:
    work.advance(0, f"{what}: {text}", what)


def _check(classifier: Classifier, dataset: ImageDataset) -> None:
    if len(dataset) == 0:
        raise DataError("there is no image to attack")
    if dataset.classes != classifier.card.classes:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classifier.card.classes)}; "
            f"the images are of {', '.join(dataset.classes)}"
        )


def _tensors(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """(n, s, s, 3) uint8 to (n, 3, s, s) float32 in [0, 1], which is channels last without copying."""
    return to_tensor(pixels), torch.from_numpy(labels)


def _right_under_noise(
    classifier: Classifier, x: Tensor, y: Tensor, clean_decisions: Tensor, threat: Threat, seed: int
) -> int:
    """Number of images classified correctly both clean and under random noise."""
    device = classifier.mean.device
    noise = sanity_checks.noisy(x, threat, torch.Generator().manual_seed(seed)).to(device)
    with frozen(classifier), torch.no_grad():
        decided = classifier.decide(classifier.logits(noise)).cpu()
    return int(((decided == y) & (clean_decisions == y)).sum())


def _first(tallies: Iterable[_Tally]) -> list[Example]:
    """For each attack and class, the examples at the smallest eps that has any."""
    chosen: dict[str, dict[str, list[Example]]] = {}
    for tally in sorted(tallies, key=lambda t: t.threat.eps):
        of_class = chosen.setdefault(tally.attack.title, {})
        new = [example for example in tally.examples if example.label not in of_class]
        for example in new:
            of_class.setdefault(example.label, []).append(example)
    return [e for of_class in chosen.values() for e in [e for es in of_class.values() for e in es][:AN_ATTACK]]


def _rows(table: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(value) for value in row) for row in table)
