"""Does the audit of processing history find what was planted, and nothing else? Which measuring sets does it warn of?

Trials take random images of two classes. ``same`` processes both classes in the same way; ``planted`` gives each its
own filter. The classes differ in content, so every finding under ``same`` is a false alarm.

Run from the project's root: ``python -m benchmarks.processing_history``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import facevalue as fv
from benchmarks.common import data, keep
from facevalue.data.audit.processing import find_processing
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.images.remaking import Jpeg, Resized, Step
from facevalue.images.sources import upright

SETS = (
    "human-or-object",
    "horse-or-human-rgb300",
    "horse-or-human-grey100/train",
    "real-or-ai-face",
    "faces-by-source",
    "faces-more-sources",
    "unseen-faces",
)
TRIED = ("human-or-object", "horse-or-human-rgb300", "real-or-ai-face")
HISTORIES: dict[str, tuple[tuple[Step, ...], tuple[Step, ...]]] = {
    "same": ((Resized("lanczos", 0.5),), (Resized("lanczos", 0.5),)),
    "same, JPEG": ((Resized("bilinear", 0.4), Jpeg(85)), (Resized("bilinear", 0.4), Jpeg(85))),
    "planted": ((Resized("lanczos", 0.5),), (Resized("nearest", 0.5),)),
}
EACH, TRIALS = 100, 4


def audited(name: str) -> dict[str, Any]:
    """What the audit says of a measuring set."""
    manifest = with_groups(scan(data(*name.split("/"))))
    start = time.perf_counter()
    found = find_processing(manifest)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "warnings": [w.code for w in found.warnings],
        "notes": [note.code for note in found.notes],
        **found.to_dict(),
    }


def trial(folders: list[Path], history: str, seed: int) -> bool:
    """Whether the audit warns of a random draw of images with this history."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for folder, steps in zip(folders, HISTORIES[history], strict=True):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
        for place in rng.permutation(len(files))[:EACH]:
            image = upright(files[place])
            for step in steps:
                image = step.apply(image)
            images.append(image)
            labels.append(folder.name)
    manifest = with_groups(scan(fv.ImageDataset.from_arrays(images, labels)), "image", None)
    return any(find_processing(manifest).warnings)


def main() -> None:
    trials = {}
    for name in TRIED:
        folders = sorted(path for path in data(name).iterdir() if path.is_dir())
        for history in HISTORIES:
            found = [trial(folders, history, seed) for seed in range(TRIALS)]
            trials[f"{name}: {history}"] = {"warned": sum(found), "trials": TRIALS, "images_of_each_class": EACH}
    keep("processing_history", {"sets": {name: audited(name) for name in SETS}, "trials": trials})


if __name__ == "__main__":
    main()
