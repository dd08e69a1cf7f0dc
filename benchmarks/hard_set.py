"""Fine-tuning on hard images for real or AI faces: gains on the hard images and losses on the old ones.

A model of FFHQ and StyleGAN is fine-tuned (head only) on 1,600 faces of two other sources of photographs and two other
generators, half of each class. It is evaluated before and after, on its old test images, on held-out hard images, and
on ``unseen-faces``, which has other images of the new sources.

Run from the project's root: ``python -m benchmarks.hard_set [NAME …] [--seeds 0,1,2]``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import SEEDS, data, facevalue, keep, mean, train
from benchmarks.real_or_ai import RECIPES, UNSEEN, unseen

NAMES = {"probe": RECIPES["probe"], "texture": RECIPES["texture"]}
TOLD = ("old_test_before", "old_test_after", "hard_before", "hard_after", "forgotten", "gained", "temperature")


def measure(flags: tuple[str, ...], seed: str, scratch: Path) -> dict[str, Any]:
    before, after = scratch / "before", scratch / "after"
    run = train(before, str(data("real-or-ai-face")), *flags, "--seed", seed)
    # Not one group per folder: all images of a source would be in one split.
    hard = (str(before), str(data("faces-by-source")), "-o", str(after), "--groups", "image", "--seed", seed)
    figures, _ = facevalue("finetune", *hard)
    assert isinstance(figures, dict)
    return {
        "seed": int(seed),
        "arguments": run["arguments"],
        **{key: figures[key] for key in TOLD},
        "unseen_recall": {
            model.name: unseen(model, scratch / f"of {model.name}", ["clean"])["clean"]["recall"]
            for model in (before, after)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []])
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    given = parser.parse_args()
    for name in given.names or list(NAMES):
        runs: list[dict[str, Any]] = []
        for seed in given.seeds.split(","):
            with tempfile.TemporaryDirectory() as scratch:
                runs.append(measure(NAMES[name], seed, Path(scratch)))
            means = {
                when: {source: mean([run["unseen_recall"][when][source] for run in runs]) for source in UNSEEN}
                for when in ("before", "after")
            }
            # Saved after each seed, so that results are kept if the run is interrupted.
            keep(f"hard_set.{name}", {"unseen_recall_mean": means, "runs": runs})


if __name__ == "__main__":
    main()
