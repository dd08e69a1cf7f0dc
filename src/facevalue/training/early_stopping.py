"""Which epoch is the best, which one's weights stay, and when to stop: pure functions of the history so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facevalue.training.settings import FitSettings


def best_epoch(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> int:
    """The first epoch with the best validation figure; of equal accuracies the one with the lower loss.

    Lines that have a robust accuracy are judged by it.
    """

    def figure(line: Mapping[str, Any]) -> tuple[float, ...]:
        loss = line["validation_loss"]
        if "validation_robust_accuracy" in line:
            return (-line["validation_robust_accuracy"], loss)
        return (loss,) if settings.monitor == "loss" else (-line["validation_accuracy"], loss)

    return int(min(history, key=figure)["epoch"])


def kept_epoch(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> int:
    """The epoch whose weights stay. Adversarial training always keeps the most robust: it may collapse at the end."""
    if settings.keep == "last" and "validation_robust_accuracy" not in history[-1]:
        return int(history[-1]["epoch"])
    return best_epoch(history, settings)


def stopped(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> bool:
    """Whether validation has not improved for ``patience`` epochs."""
    if not settings.patience or not history:
        return False
    return len(history) - 1 - best_epoch(history, settings) >= settings.patience
