"""A development set for small networks on horse or human, so that the official images choose nothing.

The official images have a white background, the training renderings landscapes. Here every colour rendering is cut out
(GrabCut on a finer image than in training), put on white, turned grey and resized to 100 pixels. Each is classified by
a network that has not seen it, in three folds by rendering. The masks differ from those in training, and keep less of
the ground. Run from the project's root: ``python -m benchmarks.horse_development [NAME …]``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.common import data, keep, kept, mean, train
from facevalue.training import masks

GREY, COLOUR = data("horse-or-human-grey100", "train"), data("horse-or-human-rgb300")
CLASSES = ("horses", "humans")
FOLDS = 3
SIDE = 150
"""Side of the image for GrabCut; training uses 80."""
PLAUSIBLE = (0.04, 0.6)
"""Range of the share that the foreground may cover; other images are left out."""
UPRIGHT = ("--recipe", "horse-or-human/cnn-upright")
RESIDUAL = ("--recipe", "horse-or-human/resnet-scratch")
CHOICES = {
    "in grey": (GREY, UPRIGHT),
    "in colour": (COLOUR, UPRIGHT),
    "in colour, trained again on all": (COLOUR, (*UPRIGHT, "--set", "refit=true")),
    "in colour, rescaled": (COLOUR, (*UPRIGHT, "--set", "augment.rescale=0.5")),
    "in colour, at 100 pixels": (COLOUR, (*UPRIGHT, "--size", "100")),
    "in colour, cutmix": (COLOUR, (*UPRIGHT, "--set", "augment.cutmix=1.0")),
    "in colour, four layers": (COLOUR, (*UPRIGHT, "--set", "network.options={widths=[16, 32, 64, 128]}")),
    "in colour, five layers": (COLOUR, (*UPRIGHT, "--set", "network.options={widths=[16, 32, 64, 64, 64]}")),
    "in colour, batch norm": (COLOUR, (*UPRIGHT, "--set", "network.options={batch_norm=true}")),
    "in colour, residual network": (COLOUR, (*RESIDUAL, "--set", "augment.grey=0.5")),
}


def cut_out(path: Path) -> Image.Image | None:
    """A rendering's foreground on white, in grey, 100 pixels wide; ``None`` if the mask is not plausible."""
    with Image.open(path) as file:
        image = np.asarray(file.convert("RGB"))
    mask = cv2.morphologyEx(masks.foreground_mask(image).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    pieces, labels, sizes, _ = cv2.connectedComponentsWithStats(mask)
    if pieces > 1:
        mask = (labels == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    if not PLAUSIBLE[0] < mask.mean() < PLAUSIBLE[1]:
        return None
    side = image.shape[0]
    soft = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
    white = (image * soft + 255 * (1 - soft)).round().astype(np.uint8)
    return Image.fromarray(white).resize((100, 100), Image.Resampling.BOX).convert("L")


def cut_outs(folder: Path) -> None:
    """Write all cut-outs, one folder per class."""
    masks.SIDE = SIDE
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for path in sorted((COLOUR / label).iterdir()):
            if (found := cut_out(path)) is not None:
                found.save(folder / label / f"{path.stem}.png")


def rendering(path: Path) -> str:
    match = re.match(r"[a-z]+\d+", path.stem)
    assert match
    return match[0]


def split(source: Path, judged: Path, fold: int, folder: Path) -> None:
    """``train/`` and ``test/`` of a fold as links: training renderings, and cut-outs of the others."""
    for label in CLASSES:
        names = sorted({rendering(path) for path in (source / label).iterdir()})
        held = {name for i, name in enumerate(names) if i % FOLDS == fold}
        for part, images, wanted in (("train", source, False), ("test", judged, True)):
            (folder / part / label).mkdir(parents=True)
            for path in sorted((images / label).iterdir()):
                if (rendering(path) in held) == wanted:
                    (folder / part / label / path.name).symlink_to(path)


def main(names: list[str]) -> None:
    # Choices named on the command line are added to the existing results.
    table: dict[str, Any] = kept("horse_development")["choices"] if names else {}
    with tempfile.TemporaryDirectory() as scratch:
        judged = Path(scratch) / "white"
        cut_outs(judged)
        for name in names or list(CHOICES):
            source, flags = CHOICES[name]
            runs = []
            for fold in range(FOLDS):
                with tempfile.TemporaryDirectory() as folder:
                    split(source, judged, fold, Path(folder) / "fold")
                    runs.append(train(Path(folder) / "model", str(Path(folder) / "fold"), *flags))
            recall = {label: mean([run["test"]["recall"][label] for run in runs]) for label in CLASSES}
            table[name] = {"recall": recall, "balanced_accuracy": mean(list(recall.values())), "runs": runs}
            # Saved after each choice, so that results are kept if the run is interrupted.
            keep("horse_development", {"folds": FOLDS, "choices": table})


if __name__ == "__main__":
    main(sys.argv[1:])
