"""``facevalue data augment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from facevalue.cli.output import Json, deliver, png_option
from facevalue.cli.parsing import settings_of
from facevalue.cli.shared_options import Data, RecipesSeed, Settings, Size

EXAMPLE = "facevalue data augment pictures -o augmented.png --recipe horse-or-human/cnn-upright"


def run(
    data: Data,
    output: Annotated[Path, png_option("--output", "-o", text="The PNG to draw.")],
    recipe: Annotated[str, Option(metavar="NAME", help="A recipe that changes pictures, or FILE.toml.")] = "scratch",
    changes: Settings = None,
    size: Size = None,
    rows: Annotated[int, Option(min=1, max=100, metavar="N", help="Pictures, drawn evenly from the classes.")] = 6,
    epochs: Annotated[int, Option(min=1, max=50, metavar="N", help="Epochs in which each is shown.")] = 7,
    seed: RecipesSeed = None,
    json: Json = None,
) -> None:
    """Draw pictures as a recipe changes them for training, to see whether they still show their class."""
    from facevalue import workshop

    drawn = workshop.augment_data(
        data, output, recipe=recipe, set=settings_of(changes or []), size=size, rows=rows, epochs=epochs, seed=seed
    )
    deliver(drawn, json, drawn["file"])
