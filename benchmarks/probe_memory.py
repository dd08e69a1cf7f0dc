"""Peak memory of training the wide texture probe on ``real-or-ai-face``, as a process, beside the estimate.

Run from the project's root: ``python -m benchmarks.probe_memory [IMAGES]``; 1800, all of them, by default. Whole images
are trained on, because the face gate takes a detector that need not be there.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.common import FACEVALUE, data, keep, mobilenet
from benchmarks.scan_memory import measured


def some_of(images: int, out: Path) -> None:
    """Links to the first images of each class."""
    for name in ("real", "ai"):
        (out / name).mkdir(parents=True)
        for path in sorted(data("real-or-ai-face", name).iterdir())[: images // 2]:
            (out / name / path.name).symlink_to(path)


def main(images: int = 1800) -> None:
    from facevalue.training.probe_memory import bytes_needed
    from facevalue.training.recipe import configured

    with tempfile.TemporaryDirectory() as folder:
        some_of(images, Path(folder) / "images")
        command = [FACEVALUE, "train", str(Path(folder) / "images"), "-o", str(Path(folder) / "model")]
        command += ["--recipe", "real-or-ai/texture", "--weights", mobilenet(), "--gate", "none"]
        found = measured(command)
    counts = {
        name: round(share * images) for name, share in (("validation", 0.05), ("calibration", 0.07), ("test", 0.2))
    }
    counts["train"] = images - sum(counts.values())
    estimate = bytes_needed(44_096, counts, configured("real-or-ai/texture"))
    keep("probe_memory", {"images": images, "features": 44_096, **found, "estimated_megabytes": estimate / 2**20})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
