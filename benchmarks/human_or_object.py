"""Human or object: a probe on LFW people against Caltech-101 objects; no person and no near-duplicate crosses a split.

Run from the project's root: ``python -m benchmarks.human_or_object``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common import SEEDS, data, keep, mobilenet, summary, train


def main() -> None:
    runs = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            arguments = (
                *(str(data("human-or-object")), "--recipe", "probe", "--network", "mobilenetv2_100"),
                *("--weights", mobilenet(), "--groups", "parent", "--seed", str(seed)),
            )
            runs.append(train(Path(folder) / "model", *arguments))
    keep("human_or_object.mobilenetv2-probe", {**summary(runs), "runs": runs})


if __name__ == "__main__":
    main()
