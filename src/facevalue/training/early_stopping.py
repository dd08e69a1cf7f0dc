"""The best epoch, the epoch whose weights are kept, and when to stop: pure functions of the training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facevalue.training.settings import FitSettings


def best_epoch(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> int:
    """The first epoch with the best validation figure; equal accuracies are decided by the lower loss.

    If the lines have a robust accuracy, that is the figure.
    """

    def figure(line: Mapping[str, Any]) -> tuple[float, ...]:
        loss = line["validation_loss"]
        if "validation_robust_accuracy" in line:
            return (-line["validation_robust_accuracy"], loss)
        return (loss,) if settings.monitor == "loss" else (-line["validation_accuracy"], loss)

    return int(min(history, key=figure)["epoch"])


def kept_epoch(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> int:
    """The epoch whose weights are kept. Adversarial training keeps the most robust one, because it may collapse."""
    if settings.keep == "last" and "validation_robust_accuracy" not in history[-1]:
        return int(history[-1]["epoch"])
    return best_epoch(history, settings)


def stopped(history: Sequence[Mapping[str, Any]], settings: FitSettings) -> bool:
    """Whether validation has not improved for ``patience`` epochs."""
    if not settings.patience or not history:
        return False
    return len(history) - 1 - best_epoch(history, settings) >= settings.patience
