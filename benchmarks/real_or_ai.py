"""Real or AI face: recipes on held-out pictures of the same source and on unseen sources, clean and laundered.

``unseen-faces`` is for testing only; one threshold, the model's own, holds for all of it. Run from the project's root:
``python -m benchmarks.real_or_ai [NAME …] [--seeds 0,1,2]``.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.common import SEEDS, data, essentials, facevalue, keep, mean, mobilenet, summary, train

RECIPES = {
    "probe": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
    # Three epochs: what two cores do in a few minutes.
    "finetune": ("--recipe", "finetune", "--network", "mobilenetv2_100", "--weights", mobilenet(), "--epochs", "3"),
    "texture": ("--recipe", "real-or-ai/texture", "--weights", mobilenet()),
    "resnet-scratch": ("--recipe", "real-or-ai/resnet-scratch"),
    "inception-scratch": ("--recipe", "real-or-ai/inception-scratch"),
    "hybrid-scratch": ("--recipe", "real-or-ai/hybrid-scratch"),
}
UNSEEN = {
    "stylegan2-omi with utkface": ("real/utkface", "ai/stylegan2-omi"),
    "stable-diffusion-2.1 with utkface": ("real/utkface", "ai/stable-diffusion-2.1"),
}
LAUNDERINGS: dict[str, tuple[int, int] | None] = {
    "clean": None,
    "jpeg q60, 768 px": (768, 60),
    "jpeg q40, 512 px": (512, 40),
}
"""The longest side and the quality with which a messenger saves a picture again."""


def laundered(source: Path, target: Path, longest: int, quality: int) -> None:
    """Save a picture again as a messenger would."""
    with Image.open(source) as picture:
        picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        picture.convert("RGB").save(target, "JPEG", quality=quality)


def unseen(model: Path, scratch: Path) -> dict[str, Any]:
    """Evaluate on each unseen generator beside the unseen photographs, with the model's own threshold."""
    reports: dict[str, Any] = {}
    for name, folders in UNSEEN.items():
        for how, saving in LAUNDERINGS.items():
            place = scratch / "unseen" / name / how
            place.mkdir(parents=True)
            with (place / "manifest.csv").open("w", newline="") as stream:
                rows = csv.writer(stream)
                rows.writerow(["path", "label"])
                for folder in folders:
                    for file in sorted(data("unseen-faces", folder).iterdir()):
                        path = file
                        if saving is not None:
                            path = place / f"{file.stem}.jpg"
                            laundered(file, path, *saving)
                        rows.writerow([path, folder.partition("/")[0]])
            report, _ = facevalue("evaluate", str(model), str(place / "manifest.csv"), "--no-save")
            assert isinstance(report, dict)
            reports.setdefault(name, {})[how] = essentials(report)
    return reports


def of_runs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the runs: balanced accuracy and recall by class, for each unseen set and laundering."""
    return {
        name: {
            how: {
                "balanced_accuracy": mean([run["unseen"][name][how]["balanced_accuracy"] for run in runs]),
                "recall": {
                    label: mean([run["unseen"][name][how]["recall"][label] for run in runs]) for label in ("real", "ai")
                },
                "auroc": mean([run["unseen"][name][how]["auroc"] for run in runs]),
            }
            for how in LAUNDERINGS
        }
        for name in UNSEEN
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RECIPES, []])
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    given = parser.parse_args()
    for name in given.names or list(RECIPES):
        runs = []
        for seed in given.seeds.split(","):
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                run = train(model, str(data("real-or-ai-face")), *RECIPES[name], "--seed", seed)
                runs.append({**run, "unseen": unseen(model, Path(folder))})
        keep(f"real_or_ai.{name}", {**summary(runs), "unseen_mean": of_runs(runs), "runs": runs})


if __name__ == "__main__":
    main()
