"""Repeats the evaluations on a card, and says which figures no longer hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facevalue.api.common.inputs import EvaluationContext
from facevalue.data.scan import Data
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.evaluate import evaluate_dataset
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import Evaluation
from facevalue.evidence.verification import FolderCheck

TOLERANCE = 1e-3
"""Largest difference of a rate, a probability or an error that counts as the same: processors round differently."""

_NOT_FIGURES = ("provenance", "warnings", "slices", "unreadable", "split", "classes", "reliability")


def repeated_evaluations(folder: Path, data: Data) -> FolderCheck:
    """Evaluate the model on ``data`` again, once for each evaluation on its card that was made on these images."""
    card = ModelCard.load(folder)
    repeated, others, problems = [], [], list[str]()
    for kept in card.of_kind(Evaluation):
        if card.refitted and kept.split in ("validation", "calibration"):
            others.append(f"{kept.split} (of the model before the second training)")
            continue
        try:
            context = EvaluationContext.of(folder, data, split=kept.split, save=False)
        except (UsageError, DataError):
            others.append(kept.split)
            continue
        if context.dataset.fingerprint != kept.provenance.fingerprint:
            others.append(kept.split)
            continue
        now = evaluate_dataset(context.classifier, context.dataset)
        repeated.append(kept.split)
        problems += [f"{kept.split}: {text}" for text in differences(kept.to_dict(), now.to_dict())]
    text = f"evaluated again: {', '.join(repeated) or 'nothing'}"
    if others:
        text += f"; these images were not found in the data: {', '.join(others)}"
    if not repeated:
        return FolderCheck.of("data", text, [*problems, "no evaluation on the card was made on these images"])
    return FolderCheck.of("data", text, problems)


def differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each figure that differs by more than :data:`TOLERANCE`.

    >>> differences({"accuracy": 0.98, "ece": 0.01}, {"accuracy": 0.95, "ece": 0.01})
    ['accuracy is 0.95 now, 0.98 on the card']
    """
    return [
        f"{name} is {_short(new)} now, {_short(old)} on the card"
        for name, old, new in _pairs(kept, now)
        if not _same(old, new)
    ]


def _pairs(kept: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, old in kept.items():
        if name in _NOT_FIGURES or (old is None and now.get(name) is None):
            continue
        new = now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{name}.{key}", old.get(key), new.get(key)) for key in {**old, **new})
        else:
            yield name, old, new


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return math.isclose(old, new, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
