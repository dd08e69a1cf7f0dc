"""``facevalue tune``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from facevalue.cli.common.options import Data, Groups, Network, RecipesSeed, Settings, Size, Weights
from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import settings_of
from facevalue.errors import UsageError
from facevalue.support.formats import eps_text, percent

if TYPE_CHECKING:
    from facevalue.training.search_space import Search

EXAMPLE = "facevalue tune images -o study --recipe scratch --trials 20 --search optimizer.lr=1e-5..1e-2,log"
_SHOWN = 10


def run(
    data: Data,
    output: Annotated[
        Path, Option("--output", "-o", metavar="STUDY", help="The study's folder; an existing study is continued.")
    ],
    recipe: Annotated[
        str,
        Option(
            metavar="NAME", help="The recipe to start from: probe, finetune, scratch, a named recipe, or FILE.toml."
        ),
    ] = "scratch",
    trials: Annotated[
        int, Option(min=1, metavar="N", help="Total number of trials, including those of earlier calls.")
    ] = 20,
    search: Annotated[
        list[str] | None,
        Option(
            metavar="KEY=SPEC", help="A setting with LOW..HIGH, LOW..HIGH,log or a list of values; may be repeated."
        ),
    ] = None,
    space: Annotated[Path | None, Option(metavar="FILE", help="A TOML file with a table \\[search].")] = None,
    changes: Settings = None,
    network: Network = None,
    weights: Weights = None,
    groups: Groups = None,
    epochs: Annotated[int | None, Option(min=1, metavar="N", help="Most epochs per trial.")] = None,
    size: Size = None,
    prune: Annotated[bool, Option(help="Stop unpromising trials early.")] = True,
    fresh: Annotated[bool, Option("--fresh", help="Remove an existing study, and start over.")] = False,
    seed: RecipesSeed = None,
    json: Json = None,
) -> None:
    """Search for the best settings of a recipe, on the validation split only; test images are not used."""
    changed = settings_of(changes or [])
    searched = _space(search or (), space)

    from facevalue.api.tune import tune

    result = tune(
        data,
        output,
        recipe=recipe,
        trials=trials,
        space=searched,
        groups=groups,
        prune=prune,
        fresh=fresh,
        seed=seed,
        settings=changed,
        network=network,
        weights=weights,
        epochs=epochs,
        size=size,
    )
    figures = result.to_dict()
    rows = sorted(
        (row for row in figures["trials"] if row["state"] == "complete"), key=lambda row: float(row["validation_loss"])
    )
    keys = figures["searched"]
    columns = ("trial", "validation loss", "accuracy", *keys)
    cells = [
        (
            row["number"],
            row["validation_loss"],
            percent(row["validation_accuracy"]),
            *(_value(key, row["settings"][key]) for key in keys),
        )
        for row in rows[:_SHOWN]
    ]
    deliver(
        figures,
        json,
        table("", columns, cells),
        f"{figures['complete']} trained, {figures['pruned']} stopped early, {figures['failed']} failed",
        "the lowest of many validation losses is too optimistic; to measure the recipe on the test images, run:",
        f"facevalue train {data} -o MODEL --recipe {result.recipe}",
    )


def _value(key: str, value: object) -> object:
    if key == "adversarial.eps" and isinstance(value, float):
        return eps_text(value)
    return f"{value:.3g}" if isinstance(value, float) else value


def _space(given: Sequence[str], file: Path | None) -> dict[str, Search]:
    from facevalue.training.search_space import read_space, spec

    found: dict[str, Search] = {} if file is None else read_space(file)
    for text in given:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not key or not equals:
            raise UsageError(f"--search: expected KEY=SPEC, but got {text!r}")
        found[key] = spec(key, value)
    return found
