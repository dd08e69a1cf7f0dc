"""The same training at several sizes of the network input, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facevalue.api.compare import compare
from facevalue.api.train import train
from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.card import CARD
from facevalue.support import files, progress
from facevalue.support.output_folder import free_folder
from facevalue.training.recipe import as_asked
from facevalue.training.studies import expect_same

STUDY, CURVES = "sizes.json", "curves.png"


def train_sizes(
    data: Path | str,
    output: Path | str,
    sizes: Sequence[int],
    *,
    resume: bool = False,
    overwrite: bool = False,
    command: str = "",
    **settings: Any,
) -> list[dict[str, Any]]:
    """Train one model folder per size into ``output``, then compare them: one row per model, as :func:`compare` gives them.

    ``output`` holds the folders (``150``, ``300``), ``sizes.json`` with the rows, and ``curves.png``.

    Parameters
    ----------
    data, overwrite, settings : as ``train`` takes them; all but the size are the same for every model.
    sizes : sides of the network input in pixels, all different.
    resume : keep the models that a study stopped before had finished, and go on with the one it was at.

    Raises
    ------
    UsageError
        A setting cannot be right, ``output`` is taken, or it holds a study that was asked something else.
    """
    if len(set(sizes)) < len(sizes) or not sizes:
        raise UsageError(f"expected sizes that are all different, but got {', '.join(map(str, sizes))}")
    folder = Path(output)
    # The recipe itself and not its name: a file may be another by the time that the study goes on.
    others = {key: value for key, value in settings.items() if key not in ("recipe", "groups")}
    recipe = as_asked(settings.get("recipe", "probe"), **others)
    asked = {"data": str(data), "sizes": list(sizes), "groups": settings.get("groups"), "recipe": recipe.to_dict()}
    begun = (folder / STUDY).is_file()
    if resume and begun:
        expect_same(folder / STUDY, asked)
    else:
        free_folder(folder, STUDY, "a study of sizes", overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / STUDY, asked)
    models = [folder / str(size) for size in sizes]
    for size, model in zip(sizes, models, strict=True):
        if resume and (model / CARD).is_file():
            progress.note(f"{model} is finished already")
            continue
        progress.note(f"{size} pixels")
        try:
            train(data, model, size=size, resume=resume, overwrite=overwrite, command=command, **settings)
        except FaceValueError:
            if not begun and [*folder.iterdir()] == [folder / STUDY]:  # nothing was made: nothing is left
                (folder / STUDY).unlink()
                folder.rmdir()
            raise
    rows = compare(models, plot=folder / CURVES)
    files.write_json(folder / STUDY, {**asked, "command": command, "models": rows})
    return rows
