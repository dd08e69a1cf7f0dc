"""Real or AI face: recipes on held-out images of the same source and on unseen sources, clean and laundered.

``unseen-faces`` is for testing only; all of it is evaluated with the model's own threshold. Run from the project's
root: ``python -m benchmarks.real_or_ai [NAME …] [--seeds 0,1,2] [--add]``.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.common import SEEDS, data, facevalue, keep, kept, mean, mobilenet, summary, train

Source = tuple[str, tuple[str, ...]]
"""Label and source from the name of a folder."""

WHOLE = ("--gate", "none")
"""Whole images, as the results were measured; ``benchmarks.face_gate_recipes`` compares with crops of faces."""

RECIPES = {
    "probe": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
    # Three epochs take a few minutes on two cores.
    "finetune": ("--recipe", "finetune", "--network", "mobilenetv2_100", "--weights", mobilenet(), "--epochs", "3"),
    "texture": ("--recipe", "real-or-ai/texture", "--weights", mobilenet(), *WHOLE),
    "texture-unseen": ("--recipe", "real-or-ai/texture-unseen", "--weights", mobilenet(), *WHOLE),
    "resnet-scratch": ("--recipe", "real-or-ai/resnet-scratch", *WHOLE),
    "inception-scratch": ("--recipe", "real-or-ai/inception-scratch", *WHOLE),
    "hybrid-scratch": ("--recipe", "real-or-ai/hybrid-scratch", *WHOLE),
}
REAL = "utkface"
UNSEEN = {REAL: "real", "stylegan2-omi": "ai", "stable-diffusion-2.1": "ai"}
LAUNDERINGS: dict[str, tuple[int, int] | None] = {
    "clean": None,
    "jpeg q60, 768 px": (768, 60),
    "jpeg q40, 512 px": (512, 40),
}
"""Longest side and JPEG quality with which a messenger saves an image again."""


def laundered(source: Path, target: Path, longest: int, quality: int) -> None:
    """Save an image again as a messenger would."""
    with Image.open(source) as image:
        image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        image.convert("RGB").save(target, "JPEG", quality=quality)


def manifest(path: Path, sources: Mapping[str, Source], saving: tuple[int, int] | None = None) -> Path:
    """Write a CSV of path, label and source; with ``saving``, of images saved again beside it."""
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "source"])
        for source, (label, folder) in sources.items():
            for file in sorted(data(*folder).iterdir()):
                shown = file
                if saving is not None:
                    shown = path.parent / f"{source}-{file.stem}.jpg"
                    laundered(file, shown, *saving)
                rows.writerow([shown, label, source])
    return path


def by_source(model: Path, table: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """A model's figures on each source of a manifest."""
    report, _ = facevalue("evaluate", str(model), str(table), "--slices", "source", "--no-save", *flags)
    assert isinstance(report, dict)
    (slices,) = (entry for entry in report["slices"] if entry["column"] == "source")
    return {s["value"]: s for s in slices["slices"]}


def unseen(model: Path, scratch: Path, launderings: Sequence[str]) -> dict[str, Any]:
    """Recall with its interval on each unseen source, with the model's own threshold."""
    figures: dict[str, Any] = {}
    sources = {source: (label, ("unseen-faces", label, source)) for source, label in UNSEEN.items()}
    for how in launderings:
        table = manifest(scratch / "unseen" / how / "manifest.csv", sources, LAUNDERINGS[how])
        slices = by_source(model, table)
        recall = {source: s["recall"][UNSEEN[source]] for source, s in slices.items()}
        intervals = {source: s["recall_ci"][UNSEEN[source]] for source, s in slices.items()}
        figures[how] = {
            "recall": recall,
            "recall_ci": intervals,
            "balanced_accuracy": {
                f"{source} with {REAL}": (recall[REAL] + recall[source]) / 2
                for source, label in UNSEEN.items()
                if label == "ai"
            },
        }
    return figures


def of_runs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean balanced accuracy over the runs that have it, for each unseen generator and laundering."""
    return {
        how: {
            name: mean([run["unseen"][how]["balanced_accuracy"][name] for run in runs if how in run["unseen"]])
            for name in runs[0]["unseen"][how]["balanced_accuracy"]
        }
        for how in runs[0]["unseen"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RECIPES, []])
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--clean", action="store_true", help="unseen images as they are alone")
    parser.add_argument("--add", action="store_true", help="to the seeds in the result that is there, in place of it")
    given = parser.parse_args()
    for name in given.names or list(RECIPES):
        runs = kept(f"real_or_ai.{name}")["runs"] if given.add else []
        known = {run["seed"] for run in runs}
        for seed in given.seeds.split(","):
            if int(seed) in known:
                continue
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                run = train(model, str(data("real-or-ai-face")), *RECIPES[name], "--seed", seed)
                # Laundered only for the first seed, because it triples the number of images.
                launderings = list(LAUNDERINGS)[: 1 if runs or given.clean else None]
                runs.append({**run, "unseen": unseen(model, Path(folder), launderings)})
            # Saved after each seed, so that results are kept if the run is interrupted.
            keep(f"real_or_ai.{name}", {**summary(runs), "unseen_balanced_accuracy_mean": of_runs(runs), "runs": runs})


if __name__ == "__main__":
    main()
