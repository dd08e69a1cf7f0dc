"""Looking at what a recipe's augmentation does to pictures, before learning from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facevalue import files, progress
from facevalue.data.pictures import Pictures, pictures
from facevalue.data.scan import scan
from facevalue.errors import UsageError
from facevalue.explanations.overlay import sheet
from facevalue.outputs import to_squares
from facevalue.training.augment import augment, mixed
from facevalue.training.recipe import Recipe, read
from facevalue.training.settings import AugmentSettings
from facevalue.training.subjects import Subjects, find

CELL = 128
"""Side of a picture on the sheet."""

HOWS = {"fill": {"rotation", "zoom", "shift", "height", "width"}, "damage": {"jpeg", "blur", "rescale"}}
"""Settings that only say how others change pictures, and these."""


def augment_data(
    data: Path | str,
    output: Path | str,
    *,
    recipe: str = "scratch",
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the flag's name
    size: int | None = None,
    rows: int = 6,
    epochs: int = 7,
    seed: int | None = None,
) -> dict[str, Any]:
    """Draw some pictures, each as it is read and then as training would see it in so many epochs.

    Parameters
    ----------
    data : a folder with one sub-folder a class, one with ``train/`` and held-out folders, or a manifest.
    output : the PNG to write.
    recipe, set, size, seed : as for ``train``; the recipe must change pictures.
    rows : pictures, drawn evenly from the classes.
    epochs : in how many each is shown.

    Returns
    -------
    The file, the settings that are on, and the paths and labels of the pictures from top to bottom.

    Raises
    ------
    UsageError
        There is no such recipe or setting, or it leaves pictures as they are.
    DataError
        There is no readable picture.
    """
    chosen = read(recipe, {"seed": seed, "network.size": size, **(set or {})})
    on = switched_on(chosen.augment)
    if not on:
        raise UsageError(f"the recipe {chosen.name} leaves pictures as they are; see its table [augment]")
    if rows < 1 or epochs < 1:
        raise UsageError(f"expected rows and epochs to be at least 1, but got {rows} and {epochs}")
    manifest = scan(Path(data))
    some = pictures(manifest, chosen.geometry(), manifest.classes).some(rows, chosen.seed)
    squares = some.squares()
    columns = [squares, *seen(some, squares, chosen, epochs)]
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
        quiet="Left as the network's square is read; beside it as training sees it, an epoch a column.",
        gap=4,
    )
    with files.replacing_file(Path(output)) as partial:
        drawn.save(partial, format="PNG")
    return {
        "file": str(output),
        "recipe": chosen.name,
        "augment": on,
        "epochs": epochs,
        "pictures": [
            {"path": str(path), "label": some.classes[label]}
            for path, label in zip(some.paths, some.labels, strict=True)
        ],
    }


def switched_on(settings: AugmentSettings) -> dict[str, Any]:
    """The settings that change pictures. ``fill`` and ``damage`` say how others do, and change nothing alone."""
    plain, off = (msgspec.to_builtins(each) for each in (settings, AugmentSettings()))
    on = {name for name, value in plain.items() if value != off[name]} - HOWS.keys()
    on |= {how for how, of in HOWS.items() if on & of}
    return {name: value for name, value in plain.items() if name in on}


def seen(some: Pictures, squares: NDArray[np.uint8], recipe: Recipe, epochs: int) -> list[NDArray[np.uint8]]:
    """(n, s, s, 3) uint8 for each epoch: what training makes of the pictures, were they all there is."""
    settings, indices = recipe.augment, np.arange(len(some))
    subjects: Subjects | None = find([squares], len(some)) if settings.surroundings else None
    made = []
    with torch.random.fork_rng(devices=[]):
        for epoch in progress.track(range(epochs), "changing pictures", unit="epochs"):
            x = augment(squares, settings, recipe.seed, epoch, indices, subjects)
            if settings.mixup or settings.cutmix:
                torch.manual_seed(recipe.seed + epoch)
                x, _ = mixed(x, torch.from_numpy(some.labels), len(some.classes), settings)
            made.append(to_squares(x))
    return made
