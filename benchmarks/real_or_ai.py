"""Real or AI face: probe and finetune, on held-out pictures of the same source and on unseen sources.

``unseen-faces`` is for testing only. Run from the project's root: ``python -m benchmarks.real_or_ai``.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import SEEDS, data, essentials, facevalue, keep, mean, mobilenet, summary, train

RECIPES = {
    "probe": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
    # Three epochs: what two cores do in a few minutes.
    "finetune": (*("--recipe", "finetune", "--network", "mobilenetv2_100", "--weights", mobilenet(), "--epochs", "3"),),
}
UNSEEN = {
    "stylegan2-omi with utkface": ("real/utkface", "ai/stylegan2-omi"),
    "stable-diffusion-2.1 with utkface": ("real/utkface", "ai/stable-diffusion-2.1"),
}


def unseen(model: Path, scratch: Path) -> dict[str, Any]:
    """Evaluate on each unseen generator beside the unseen photographs, with the model's own threshold."""
    reports = {}
    for name, folders in UNSEEN.items():
        manifest = scratch / f"{name}.csv"
        with manifest.open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["path", "label"])
            for folder in folders:
                label = folder.partition("/")[0]
                rows.writerows([path, label] for path in sorted(data("unseen-faces", folder).iterdir()))
        report, _ = facevalue("evaluate", str(model), str(manifest), "--no-save")
        assert isinstance(report, dict)
        reports[name] = essentials(report)
    return reports


def main(names: list[str]) -> None:
    for name in names or list(RECIPES):
        runs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                run = train(model, str(data("real-or-ai-face")), *RECIPES[name], "--seed", str(seed))
                runs.append({**run, "unseen": unseen(model, Path(folder))})
        out = {u: mean([run["unseen"][u]["balanced_accuracy"] for run in runs]) for u in UNSEEN}
        keep(f"real_or_ai.{name}", {**summary(runs), "unseen_balanced_accuracy_mean": out, "runs": runs})


if __name__ == "__main__":
    main(sys.argv[1:])
