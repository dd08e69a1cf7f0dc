"""Horse or human on the official grey split: a probe, the small CNN with and without augmentation, a small ResNet.

The official validation images are the test split and choose nothing. Validation and calibration are split off train by
rendering; ``-again`` also trains on those in the end (``refit``). ``-in-colour`` trains on the published renderings, at
300 pixels and in colour, where foreground masks are more reliable. Run from the project's root:
``python -m benchmarks.horse_or_human``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import SEEDS, data, keep, mobilenet, summary, train

GREY, COLOUR = data("horse-or-human-grey100"), data("horse-or-human-rgb300")
RECIPES = {
    "mobilenetv2-probe": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
    "small-cnn": ("--recipe", "horse-or-human/cnn"),
    "small-cnn-augmented": ("--recipe", "horse-or-human/cnn-augmented"),
    "small-cnn-augmented-upright": ("--recipe", "horse-or-human/cnn-upright"),
    "small-cnn-augmented-upright-in-colour": ("--recipe", "horse-or-human/cnn-upright"),
    "small-cnn-augmented-upright-in-colour-again": ("--recipe", "horse-or-human/cnn-upright", "--set", "refit=true"),
    "small-cnn-four-layers-upright-in-colour-again": (
        *("--recipe", "horse-or-human/cnn-upright", "--set", "refit=true"),
        *("--set", "network.options={widths=[16, 32, 64, 128]}"),
    ),
    "small-resnet": ("--recipe", "horse-or-human/resnet-scratch"),
}


@contextmanager
def source(name: str) -> Iterator[Path]:
    """The folder with ``train/`` and the official images for a recipe."""
    if "-in-colour" not in name:
        yield GREY
        return
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder)
        (both / "train").symlink_to(COLOUR)
        (both / "validation").symlink_to(GREY / "validation")
        yield both


def main(names: list[str]) -> None:
    for name in names or list(RECIPES):
        runs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder, source(name) as images:
                arguments = (str(images), *RECIPES[name], "--groups", r"stem:^([a-z]+\d+)", "--seed", str(seed))
                runs.append(train(Path(folder) / "model", *arguments))
        keep(f"horse_or_human.{name}", {**summary(runs), "runs": runs})


if __name__ == "__main__":
    main(sys.argv[1:])
