"""Example images of an attack: original, perturbation and adversarial image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks.base import AttackResult
from facevalue.robustness.attacks.threat import Norm

A_CLASS, AN_ATTACK = 2, 6


@dataclass(frozen=True, eq=False)
class Example:
    """An image on which an attack succeeded, with both predictions.

    Attributes
    ----------
    attack, norm, eps : the attack.
    label : the true class.
    original, adversarial : (s, s, 3) uint8 RGB.
    perturbation : (s, s, 3) uint8, the difference, multiplied by ``magnified`` and centred on mid grey.
    clean_decision, decision : predicted classes before and after.
    clean_probability, probability : calibrated probabilities of those classes.
    """

    attack: str
    norm: Norm
    eps: float
    label: str
    original: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    perturbation: NDArray[np.uint8]
    magnified: float
    clean_decision: str
    clean_probability: float
    decision: str
    probability: float


def turned(
    classifier: Classifier, attack: str, norm: Norm, eps: float, x: Tensor, result: AttackResult, had: Sequence[Example]
) -> list[Example]:
    """The first successes of ``result``, at most :data:`A_CLASS` per class, counting those in ``had``."""
    classes = classifier.card.classes
    room = {name: A_CLASS - sum(e.label == name for e in had) for name in classes}
    rows = []
    for row in result.turned.nonzero()[:, 0].tolist():
        label = classes[int(result.labels[row])]
        if room[label] > 0:
            room[label] -= 1
            rows.append(row)
    if not rows:
        return []
    with torch.no_grad():
        device = classifier.mean.device
        before = classifier.probabilities(x[rows].to(device))
        after = classifier.probabilities(result.adversarial[rows])
    found = []
    for i, row in enumerate(rows):
        old, new = int(result.clean_decisions[row]), int(result.decisions[row])
        original, adversarial = pixels_of(x[row]), pixels_of(result.adversarial[row])
        away = adversarial.astype(np.int16) - original
        magnified = 127 / max(1, int(np.abs(away).max()))
        found.append(
            Example(
                attack=attack,
                norm=norm,
                eps=eps,
                label=classes[int(result.labels[row])],
                original=original,
                adversarial=adversarial,
                perturbation=np.round(128 + magnified * away).clip(0, 255).astype(np.uint8),
                magnified=magnified,
                clean_decision=classes[old],
                clean_probability=float(before[i, old]),
                decision=classes[new],
                probability=float(after[i, new]),
            )
        )
    return found


def pixels_of(x: Tensor) -> NDArray[np.uint8]:
    """(3, s, s) in [0, 1] on the 8-bit grid as (s, s, 3) uint8."""
    levels: NDArray[np.uint8] = (x * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return levels
