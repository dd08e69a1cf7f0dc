"""``data augment``: shows the effect of a recipe's augmentation before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import with_faces
from facevalue.data.scan import Data, scan
from facevalue.errors import UsageError
from facevalue.explanations.overlay import sheet
from facevalue.models.features import to_pixels
from facevalue.support import files, progress
from facevalue.support.html import ShownInNotebooks
from facevalue.training.augmentation import augment, mixed
from facevalue.training.foreground import ForegroundMasks, find
from facevalue.training.recipe import Recipe, Setting, read
from facevalue.training.settings import AugmentSettings

CELL = 128
"""Side of an image on the sheet."""

HOWS = {"fill": {"rotation", "zoom", "shift", "height", "width"}, "corruption": {"jpeg", "blur", "rescale"}}
"""Settings that only modify other settings, with those others."""


@dataclass(frozen=True)
class AugmentationSheet(ShownInNotebooks):
    """A sheet of augmented images.

    Attributes
    ----------
    file : the PNG.
    augment : the settings that are switched on.
    images : path and label of each image, from top to bottom.
    """

    file: Path
    recipe: str
    augment: Mapping[str, Setting]
    epochs: int
    images: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        images = [{"path": path, "label": label} for path, label in self.images]
        return {**vars(self), "file": str(self.file), "augment": dict(self.augment), "images": images}


def augment_data(
    data: Data,
    output: Path | str,
    *,
    recipe: str = "scratch",
    size: int | None = None,
    rows: int = 6,
    epochs: int = 7,
    seed: int | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> AugmentationSheet:
    """Draw some images on one sheet: each as read, then as training would see it in each epoch.

    Parameters
    ----------
    data : as for :func:`facevalue.train`.
    output : the PNG to write.
    recipe, size, seed, settings : as for ``train``; the recipe must have augmentation.
    rows : number of images, drawn evenly from the classes.
    epochs : number of epochs to show for each image.

    Raises
    ------
    UsageError
        There is no such recipe or setting, or the recipe has no augmentation.
    DataError
        There is no readable image.
    """
    chosen = read(recipe, {"seed": seed, "network.size": size, **(settings or {})})
    on = switched_on(chosen.augment)
    if not on:
        raise UsageError(
            f"the recipe {chosen.name} does not change images; switch something on, e.g. augment.flip=true"
        )
    if rows < 1 or epochs < 1:
        raise UsageError(f"expected `rows` and `epochs` to be at least 1, but got {rows} and {epochs}")
    looking = chosen.gate.opened()
    manifest = with_faces(scan(data), looking)
    some = dataset_of(manifest, chosen.preprocessing(), manifest.classes).some(rows, chosen.seed)
    pixels = some.pixels()
    columns = [pixels, *seen(some, pixels, chosen, epochs)]
    panels = [
        Image.fromarray(column[row]).resize((CELL, CELL), Image.Resampling.BICUBIC)
        for row in range(len(some))
        for column in columns
    ]
    drawn = sheet(
        panels,
        columns=len(columns),
        caption=f"{chosen.name}: "
        + ", ".join(name if value is True else f"{name} {value}" for name, value in on.items()),
        quiet="Left: the network input without augmentation. Right: as training sees it, one column per epoch.",
        gap=4,
    )
    with files.replacing_file(Path(output)) as partial:
        drawn.save(partial, format="PNG")
    return AugmentationSheet(
        file=Path(output),
        recipe=chosen.name,
        augment=on,
        epochs=epochs,
        images=tuple((name, some.classes[label]) for name, label in zip(some.names, some.labels, strict=True)),
    )


def switched_on(settings: AugmentSettings) -> dict[str, Any]:
    """The settings that change images. ``fill`` and ``corruption`` only modify others and have no effect alone."""
    plain, off = (msgspec.to_builtins(each) for each in (settings, AugmentSettings()))
    on = {name for name, value in plain.items() if value != off[name]} - HOWS.keys()
    on |= {how for how, of in HOWS.items() if on & of}
    return {name: value for name, value in plain.items() if name in on}


def seen(some: ImageDataset, pixels: NDArray[np.uint8], recipe: Recipe, epochs: int) -> list[NDArray[np.uint8]]:
    """(n, s, s, 3) uint8 for each epoch: the augmented images, as if they were the whole training split."""
    settings, indices = recipe.augment, np.arange(len(some))
    masks: ForegroundMasks | None = find([pixels], len(some)) if settings.background else None
    made = []
    with torch.random.fork_rng(devices=[]):
        for epoch in progress.track(range(epochs), "changing images", unit="epochs"):
            x = augment(pixels, settings, recipe.seed, epoch, indices, masks)
            if settings.mixup or settings.cutmix:
                torch.manual_seed(recipe.seed + epoch)
                x, _ = mixed(x, torch.from_numpy(some.labels), len(some.classes), settings)
            made.append(to_pixels(x))
    return made
