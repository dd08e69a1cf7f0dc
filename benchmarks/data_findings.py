"""The effects of bad data on real images: leaking splits, shortcuts, copies under another label.

``leak`` trains the small CNN on the horse-or-human renderings, split by image and split by rendering. It compares the
test accuracy of each with the accuracy on the official validation images, which differ from all training images.
``shortcuts`` runs ``data scan`` to see whether file facts separate the classes. ``copies`` adds copies of twenty images
under the other label, resized and saved again as JPEG of quality 60, and counts how many are found.

Run from the project's root: ``python -m benchmarks.data_findings [leak] [shortcuts] [copies]``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.common import SEEDS, data, facevalue, keep, mean, train

RENDERING = re.compile(r"^([a-z]+\d+)")
SPLITS = {
    "by image": ("--groups", "image", "--set", "split.near=-1"),
    "by rendering": ("--groups", f"stem:{RENDERING.pattern}"),
}
PLANTED = 20


def crossing(model: Path) -> dict[str, int]:
    """Number of renderings of a model's images, and of those in more than one split."""
    table = pd.read_parquet(model / "manifest.parquet")
    names = table["key"].map(lambda key: RENDERING.match(Path(key).stem)[1])
    splits = table.groupby(names)["split"].nunique()
    return {"renderings": len(splits), "in_several_splits": int((splits > 1).sum())}


def leak() -> dict[str, Any]:
    """Train the same recipe with both splits."""
    found: dict[str, Any] = {}
    for name, how in SPLITS.items():
        runs = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                arguments = (str(data("horse-or-human-rgb300")), "--recipe", "horse-or-human/cnn", *how)
                run = train(model, *arguments, "--seed", str(seed))
                run |= crossing(model)
                official = str(data("horse-or-human-grey100", "validation"))
                figures, _ = facevalue("evaluate", str(model), official)
                runs.append({**run, "elsewhere": {k: figures[k] for k in ("n", "accuracy", "accuracy_ci")}})
        found[name] = {
            "test_accuracy": mean([run["test"]["accuracy"] for run in runs]),
            "accuracy_elsewhere": mean([run["elsewhere"]["accuracy"] for run in runs]),
            "runs": runs,
        }
    return found


def shortcuts() -> dict[str, Any]:
    """Shortcuts by file facts in two datasets."""
    found = {}
    for name in ("human-or-object", "real-or-ai-face"):
        figures, _ = facevalue("data", "scan", str(data(name)))
        keys = ("n", "shortcut_auc", "shortcut_limit", "shortcut_features", "warnings")
        found[name] = {key: figures[key] for key in keys}
    return found


def copies() -> dict[str, Any]:
    """Twenty contradictions, added to each of two datasets."""
    found = {}
    for name in ("real-or-ai-face", "horse-or-human-rgb300"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for label in sorted(p for p in data(name).iterdir() if p.is_dir()):
                (root / label.name).symlink_to(label)
            first, second = sorted(p.name for p in root.iterdir())
            # The second class gets real files instead of links, so that copies can be added.
            files = sorted((root / second).resolve().iterdir())
            (root / second).unlink()
            (root / second).mkdir()
            for file in files:
                (root / second / file.name).symlink_to(file)
            rng = np.random.default_rng(0)
            originals = sorted((root / first).iterdir())
            planted = {}
            for i in rng.permutation(len(originals))[:PLANTED]:
                with Image.open(originals[i]) as image:
                    scale = rng.uniform(0.5, 1.5)
                    size = (round(image.width * scale), round(image.height * scale))
                    copy = root / second / f"planted-{i}.jpg"
                    image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(copy, quality=60)
                planted[copy.name] = originals[i].name
            figures, _ = facevalue("data", "scan", str(root))
            told = [[Path(path).name for path in c["paths"]] for c in figures["contradictions"]]
            found[name] = {
                "n": figures["n"],
                "planted": len(planted),
                "found": sum(any(copy in c and original in c for c in told) for copy, original in planted.items()),
                "contradictions_without_a_planted_one": sum(not planted.keys() & set(c) for c in told),
            }
    return found


PARTS = {"leak": leak, "shortcuts": shortcuts, "copies": copies}


def main(names: list[str]) -> None:
    for name in names or list(PARTS):
        keep(f"data_findings.{name}", {"found": PARTS[name]()})


if __name__ == "__main__":
    main(sys.argv[1:])
