"""Attacks over many pictures: the figures, what speaks against them, and a few pictures to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue import metrics, progress
from facevalue.attacks import find, honesty
from facevalue.attacks.base import Attack, AttackResult
from facevalue.attacks.examples import AN_ATTACK, Example, turned
from facevalue.attacks.threat import Norm, Threat
from facevalue.card import AttackFigures, AttackReport
from facevalue.classifier import Classifier, held_still
from facevalue.data.pictures import Pictures
from facevalue.errors import DataError, UsageError
from facevalue.outputs import to_input


def attack_pictures(
    classifier: Classifier,
    pictures: Pictures,
    attacks: Sequence[str],
    norm: str,
    eps: Sequence[float],
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> tuple[AttackReport, tuple[Example, ...]]:
    """Run each attack at each eps over the pictures.

    Parameters
    ----------
    attacks : names in :data:`facevalue.attacks.ATTACKS`.
    norm : ``linf`` or ``l2``.
    eps : radii in [0, 1] units of the network's square.
    batch_size : pictures attacked at a time.
    seed : of the attacks' random starts and the noise beside them.

    Returns
    -------
    The report, and for each attack a few pictures of each class, turned at the smallest eps that turned any of it.

    Raises
    ------
    UsageError
        An attack, the norm or an eps is unknown or out of range, or there is none.
    DataError
        There is no picture, or the pictures' classes are not the model's.
    """
    chosen = [find(name) for name in dict.fromkeys(attacks)]
    threats = [Threat(cast(Norm, norm), value) for value in dict.fromkeys(eps)]  # Threat asks what norm it is
    if not chosen or not threats:
        raise UsageError(f"Expected at least one attack and one eps, but got {list(attacks)} and {list(eps)}")
    _check(classifier, pictures)
    k = len(pictures.classes)
    tallies = [_Tally(attack, threat, k) for attack in chosen for threat in threats]
    calm = {threat.eps: 0 for threat in threats}
    clean_confusion = np.zeros((k, k), np.int64)
    done = 0
    with progress.work("attacking", total=len(pictures) * len(tallies)) as work:
        for squares, labels in pictures.batches(batch_size):
            x, y = _tensors(squares, labels)
            clean = None
            for tally in tallies:
                # Another start for every batch; the same one for every attack and eps.
                result = tally.attack(classifier, x, y, tally.threat, seed=seed + done)
                tally.add(classifier, x, result)
                clean = result.clean_decisions.cpu()
                work.advance(len(y), f"{tally.attack.name} {tally.threat}: {100 * tally.robust_accuracy:.1f} % robust")
            assert clean is not None
            clean_confusion += metrics.confusion(labels, clean.numpy(), k)
            for threat in threats:
                calm[threat.eps] += _right_under_noise(classifier, x, y, clean, threat, seed + done)
            done += len(y)
    results = tuple(tally.figures() for tally in tallies)
    sample = pictures.some(honesty.SAMPLE, seed)
    x, y = _tensors(sample.squares(), sample.labels)
    device = classifier.mean.device
    warnings = [
        *honesty.of_model(classifier, x.to(device), y.to(device)),
        *honesty.of_results(results, {value: right / done for value, right in calm.items()}, clean_confusion.tolist()),
    ]
    report = AttackReport(
        n=len(pictures),
        classes=pictures.classes,
        clean_confusion=_rows(clean_confusion),
        results=results,
        warnings=tuple(warnings),
        fingerprint=pictures.fingerprint,
        source=pictures.source,
        seed=seed,
    )
    return report, tuple(_first(tallies))


@dataclass
class _Tally:
    """What one attack at one eps has done so far."""

    attack: Attack
    threat: Threat
    k: int
    confusion: NDArray[np.int64] = field(init=False)
    n: int = 0
    clean: int = 0
    robust: int = 0
    robust_unrounded: int = 0
    turned: int = 0
    distance: float = 0.0
    queries: int = 0
    seconds: float = 0.0
    examples: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.k, self.k), np.int64)

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
        self.distance += float(result.distances[result.turned].sum())
        self.queries += int(result.queries.sum())
        self.seconds += result.seconds
        if len(self.examples) < AN_ATTACK:
            with held_still(classifier):
                name, norm, eps = self.attack.name, self.threat.norm, self.threat.eps
                self.examples += turned(classifier, name, norm, eps, x, result, self.examples)

    def figures(self) -> AttackFigures:
        return AttackFigures(
            attack=self.attack.name,
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
        )


def _check(classifier: Classifier, pictures: Pictures) -> None:
    if len(pictures) == 0:
        raise DataError("there is no picture to attack")
    if pictures.classes != classifier.card.classes:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classifier.card.classes)}; "
            f"the pictures are of {', '.join(pictures.classes)}"
        )


def _tensors(squares: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """(n, s, s, 3) uint8 to (n, 3, s, s) float32 in [0, 1], which is channels last without copying."""
    return to_input(squares), torch.from_numpy(labels)


def _right_under_noise(
    classifier: Classifier, x: Tensor, y: Tensor, clean_decisions: Tensor, threat: Threat, seed: int
) -> int:
    """Pictures that are right on the clean picture and under random noise, as robust accuracy counts them."""
    device = classifier.mean.device
    noise = honesty.noisy(x, threat, torch.Generator().manual_seed(seed)).to(device)
    with held_still(classifier), torch.no_grad():
        decided = classifier.decide(classifier.logits(noise)).cpu()
    return int(((decided == y) & (clean_decisions == y)).sum())


def _first(tallies: Iterable[_Tally]) -> list[Example]:
    """Of each attack and class the examples at the smallest eps that has any: there least was needed."""
    chosen: dict[str, dict[str, list[Example]]] = {}
    for tally in sorted(tallies, key=lambda t: t.threat.eps):
        of_class = chosen.setdefault(tally.attack.name, {})
        new = [example for example in tally.examples if example.label not in of_class]
        for example in new:
            of_class.setdefault(example.label, []).append(example)
    return [e for of_class in chosen.values() for e in [e for es in of_class.values() for e in es][:AN_ATTACK]]


def _rows(table: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(value) for value in row) for row in table)
