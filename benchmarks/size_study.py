"""Cost and benefit of a larger network input: the small CNN at 150 and 300 pixels, as published, in one table.

Trained on the colour half of horse-or-human, split by rendering. Run from the project's root:
``python -m benchmarks.size_study [--sizes 150,300] [--epochs 15] [--seeds 0,1,2] [--data DIR]``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import data, keep, summary, train

RECIPE = "horse-or-human/cnn"
PUBLISHED = {"150": {"parameters": 9_494_561}, "300": {"parameters": "38 million", "times_as_long": 4}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="150,300")
    parser.add_argument("--epochs", default="15")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    source = given.data or data("horse-or-human-rgb300")
    groups = ("--groups", r"stem:^([a-z]+\d+)") if given.data is None else ()
    sizes: dict[str, Any] = {}
    for size in given.sizes.split(","):
        runs = []
        for seed in given.seeds.split(","):
            with tempfile.TemporaryDirectory() as folder:
                settings = ("--recipe", RECIPE, "--size", size, "--epochs", given.epochs, "--seed", seed)
                runs.append(train(Path(folder) / "model", str(source), *settings, *groups))
        sizes[size] = {
            **summary(runs),
            "parameters": runs[0]["parameters"],
            "seconds_per_epoch": min(run["seconds_per_epoch"] for run in runs),
            "runs": runs,
        }
    first = next(iter(sizes.values()))["seconds_per_epoch"]
    for entry in sizes.values():
        entry["times_as_long"] = round(entry["seconds_per_epoch"] / first, 2)
        print({k: v for k, v in entry.items() if k != "runs"})
    keep("size_study", {"published": PUBLISHED, "sizes": sizes})


if __name__ == "__main__":
    main()
