"""``facevalue data augment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from facevalue.cli.common.options import Data, RecipesSeed, Settings, Size
from facevalue.cli.common.output import Json, deliver, png_option
from facevalue.cli.common.parsing import settings_of

EXAMPLE = "facevalue data augment images -o augmented.png --recipe horse-or-human/cnn-upright"


def run(
    data: Data,
    output: Annotated[Path, png_option("--output", "-o", text="The PNG to draw.")],
    recipe: Annotated[str, Option(metavar="NAME", help="A recipe with augmentation, or FILE.toml.")] = "scratch",
    changes: Settings = None,
    size: Size = None,
    rows: Annotated[
        int, Option(min=1, max=100, metavar="N", help="Number of images, drawn evenly from the classes.")
    ] = 6,
    epochs: Annotated[int, Option(min=1, max=50, metavar="N", help="Number of epochs to show of each image.")] = 7,
    seed: RecipesSeed = None,
    json: Json = None,
) -> None:
    """Draw augmented training images of a recipe, to check that they still show their class."""
    from facevalue.api.data.augment import augment_data

    drawn = augment_data(
        data, output, recipe=recipe, settings=settings_of(changes or []), size=size, rows=rows, epochs=epochs, seed=seed
    )
    deliver(drawn.to_dict(), json, str(drawn.file))
