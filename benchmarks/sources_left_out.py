"""A probe of real or AI faces, with each of ten sources left out in turn: three seeds, every condition.

The faces are those of ``benchmarks.source_controls``. Run from the project's root:
``python -m benchmarks.sources_left_out [RECIPE]``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pandas as pd

import facevalue as fv
from benchmarks.common import keep, mean, mobilenet
from benchmarks.source_controls import faces

SEEDS = 3
EACH = 20
"""Test images of each source."""


def main(recipe: str = "probe") -> None:
    table = pd.DataFrame([{"path": str(path), "label": label, "source": source} for path, label, source in faces()])
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        fv.train(table, model, recipe=recipe, weights=mobilenet(), groups="image", positive="ai", gate="none")
        test = fv.load(model).card.evaluation("test")
        assert test is not None
        report = fv.evaluate_left_out(model, table, seeds=SEEDS, limit=EACH, save=False)
    conditions = dict.fromkeys(one.condition for one in report.results)
    keep(
        f"sources_left_out.{Path(recipe).name}",
        {
            "recipe": recipe,
            "test": {
                "n": test.n,
                "accuracy": test.accuracy,
                "balanced_accuracy": test.balanced_accuracy,
                "auroc": test.auroc,
            },
            "means": {
                name: {
                    figure: mean([getattr(one, figure) for one in report.of(name)])
                    for figure in ("auroc", "balanced_accuracy", "tpr_at_one_percent")
                }
                for name in conditions
            },
            "report": report.to_dict(),
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
