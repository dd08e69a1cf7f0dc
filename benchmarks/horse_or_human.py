"""Horse or human on the official grey split: a probe, the small CNN with and without augmentation, a small ResNet.

The official validation pictures are the test split, used once; validation and calibration are carved out of train by
rendering. Run from the project's root: ``python -m benchmarks.horse_or_human``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.common import SEEDS, data, keep, mobilenet, summary, train

DATA = str(data("horse-or-human-grey100"))
RECIPES = {
    "mobilenetv2-probe": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
    "small-cnn": ("--recipe", "horse-or-human/cnn"),
    "small-cnn-augmented": ("--recipe", "horse-or-human/cnn-augmented"),
    "small-cnn-augmented-upright": ("--recipe", "horse-or-human/cnn-upright"),
    "small-resnet": ("--recipe", "horse-or-human/resnet-scratch"),
}


def main(names: list[str]) -> None:
    for name in names or list(RECIPES):
        runs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                arguments = (DATA, *RECIPES[name], "--groups", r"stem:^([a-z]+\d+)", "--seed", str(seed))
                runs.append(train(Path(folder) / "model", *arguments))
        keep(f"horse_or_human.{name}", {**summary(runs), "runs": runs})


if __name__ == "__main__":
    main(sys.argv[1:])
