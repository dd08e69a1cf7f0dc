"""``compare``: several models side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facevalue.data.manifest import SPLITS
from facevalue.errors import UsageError
from facevalue.evaluation.comparison import standing
from facevalue.evidence.card import HISTORY, ModelCard
from facevalue.reports import plots


def compare(models: Sequence[Path | str], *, plot: Path | str | None = None) -> list[dict[str, Any]]:
    """One row per model: accuracies by split, their gap, size, speed, calibration error, and how it stands up.

    What was never measured is ``None``; see :func:`facevalue.evaluation.comparison.standing` for attacks, corruption and time.

    Parameters
    ----------
    plot : a PNG of the training curves, side by side.
    """
    if not models:
        raise UsageError("compare needs at least one model folder")
    rows, curves = [], {}
    for model in models:
        folder = Path(model)
        card = ModelCard.load(folder)
        accuracy = {s: found.accuracy if (found := card.report(s)) else None for s in SPLITS}
        test = card.report("test")
        train_accuracy, test_accuracy = accuracy["train"], accuracy["test"]
        gap = None if train_accuracy is None or test_accuracy is None else train_accuracy - test_accuracy
        rows.append(
            {
                "model": str(model),
                "network": card.network.name,
                "method": card.recipe.get("method"),
                "train_accuracy": train_accuracy,
                "validation_accuracy": accuracy["validation"],
                "test_accuracy": test_accuracy,
                "test_accuracy_ci": test.accuracy_ci if test else None,
                "gap": gap,
                "parameters": card.network.parameters,
                "seconds_per_epoch": card.seconds_per_epoch,
                "ece": test.ece if test else None,
                "coverage": test.coverage if test else None,
                **standing(folder, card),
            }
        )
        lines = card.checked_file(folder, HISTORY).read_text(encoding="utf-8").splitlines()
        curves[str(model)] = [json.loads(line) for line in lines]
    if plot is not None:
        plots.save_png(plots.compare_curves(curves), Path(plot))
    return rows
