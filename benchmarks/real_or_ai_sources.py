"""Real or AI face: trained on several sources, with one generator and one source of photographs left out in turn.

In use, images come from other cameras and generators than those in training. Each row trains on all sources but two and
is evaluated on those two, clean and laundered, real and AI separately, with the model's own threshold.

Run from the project's root:
``python -m benchmarks.real_or_ai_sources [--recipe NAME] [--seeds 0] [--rows 0,1] [--add]``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import essentials, facevalue, keep, kept, mean, mobilenet, train
from benchmarks.real_or_ai import LAUNDERINGS, WHOLE, by_source, manifest
from facevalue.evaluation.metrics import wilson

TRAINED = {
    "ffhq": ("real", ("real-or-ai-face", "real")),
    "utkface": ("real", ("faces-by-source", "real", "utkface")),
    "lfw": ("real", ("faces-by-source", "real", "lfw")),
    "stylegan": ("ai", ("real-or-ai-face", "ai")),
    "stylegan2-omi": ("ai", ("faces-by-source", "ai", "stylegan2-omi")),
    "stable-diffusion-2.1": ("ai", ("faces-by-source", "ai", "stable-diffusion-2.1")),
}
# If a source has images for testing only, models that have not seen the source are evaluated on those.
TESTED = {
    **TRAINED,
    "utkface": ("real", ("unseen-faces", "real", "utkface")),
    "stylegan2-omi": ("ai", ("unseen-faces", "ai", "stylegan2-omi")),
    "stable-diffusion-2.1": ("ai", ("unseen-faces", "ai", "stable-diffusion-2.1")),
}
HOME = ("ffhq", "stylegan")
"""The sources of ``real-or-ai-face``, the dataset of the other benchmarks."""
LEFT_OUT = (
    ("utkface", "stylegan2-omi"),
    ("utkface", "stable-diffusion-2.1"),
    ("ffhq", "stylegan"),
    ("lfw", "stylegan2-omi"),
)


def measure(out: tuple[str, str], recipe: str, seed: str, launderings: list[str], scratch: Path) -> dict[str, Any]:
    known = {name: entry for name, entry in TRAINED.items() if name not in out}
    model = scratch / "model"
    # Not one group per folder: all images of a source would be in one split.
    flags = ("--recipe", recipe, "--weights", mobilenet(), "--groups", "image", "--seed", seed, *WHOLE)
    run = train(model, str(manifest(scratch / "train" / "manifest.csv", known)), *flags)
    run["arguments"] = " ".join(flags)
    held_out = by_source(model, model / "manifest.parquet", "--split", "test")
    run["held_out_recall"] = {
        source: {key: s[key] for key in ("n", "accuracy", "accuracy_ci")} for source, s in held_out.items()
    }
    home = [held_out[source] for source in HOME if source in held_out]
    if home:
        right, n = sum(round(s["accuracy"] * s["n"]) for s in home), sum(s["n"] for s in home)
        run["held_out_home"] = {"n": n, "accuracy": right / n, "accuracy_ci": wilson(right, n)}
    run["left_out"] = {}
    for how in launderings:
        test = manifest(scratch / how / "manifest.csv", {name: TESTED[name] for name in out}, LAUNDERINGS[how])
        report, _ = facevalue("evaluate", str(model), str(test), "--no-save")
        assert isinstance(report, dict)
        run["left_out"][how] = essentials(report)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="real-or-ai/texture")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rows", default=",".join(map(str, range(len(LEFT_OUT)))))
    parser.add_argument("--clean", action="store_true", help="images left out as they are alone")
    parser.add_argument("--add", action="store_true", help="to what is in the result, in place of it")
    given = parser.parse_args()
    name = f"real_or_ai.sources.{Path(given.recipe).stem}"
    rows: dict[str, Any] = kept(name)["rows"] if given.add else {}
    launderings = list(LAUNDERINGS)[: 1 if given.clean else None]
    for out in (LEFT_OUT[int(row)] for row in given.rows.split(",")):
        row = f"without {out[0]} and {out[1]}"
        runs = rows[row]["runs"] if row in rows else []
        for seed in given.seeds.split(","):
            if int(seed) in {run["seed"] for run in runs}:
                continue
            with tempfile.TemporaryDirectory() as scratch:
                runs.append(measure(out, given.recipe, seed, launderings, Path(scratch)))
            rows[row] = {**summarised(runs), "runs": runs}
            # Saved after each seed, so that results are kept if the run is interrupted.
            keep(name, {"recipe": given.recipe, "rows": rows})


def summarised(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the runs (seeds) of a row."""
    home = [run["held_out_home"]["accuracy"] for run in runs if "held_out_home" in run]
    return {
        "held_out_accuracy": mean([run["test"]["accuracy"] for run in runs]),
        **({"held_out_home_accuracy": mean(home)} if home else {}),
        "held_out_accuracy_by_source": {
            source: mean([run["held_out_recall"][source]["accuracy"] for run in runs])
            for source in runs[0]["held_out_recall"]
        },
        "left_out_balanced_accuracy": {
            how: mean([run["left_out"][how]["balanced_accuracy"] for run in runs if how in run["left_out"]])
            for how in runs[0]["left_out"]
        },
        "left_out_recall": {
            how: {
                c: mean([run["left_out"][how]["recall"][c] for run in runs if how in run["left_out"]])
                for c in ("real", "ai")
            }
            for how in runs[0]["left_out"]
        },
    }


if __name__ == "__main__":
    main()
