"""``facevalue finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from facevalue.cli.common.options import Classes, Fresh, Groups, Model, Overwrite, Resume, Settings, Strangers
from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import classes_of, settings_of
from facevalue.cli.common.shell import Seed
from facevalue.errors import UsageError
from facevalue.support.formats import interval, percent

EXAMPLE = "facevalue finetune model hard-images -o model-2 --stages head"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder; it is not changed.")],
    data: Annotated[Path, Argument(metavar="DATA", help="The hard set: one folder per class, or a manifest.")],
    output: Model,
    stages: Annotated[
        str, Option(metavar="head|N|all", help="What to train: only the last layer, the N last stages, or all.")
    ] = "head",
    lr: Annotated[float | None, Option(min=0, metavar="RATE", help="Learning rate of the stages.")] = None,
    epochs: Annotated[int | None, Option(min=1, metavar="N", help="Most epochs, if stages are trained.")] = None,
    replay: Annotated[
        float,
        Option(min=0, metavar="RATIO", help="Old training images per hard image, against forgetting."),
    ] = 1.0,
    groups: Groups = None,
    classes: Classes = None,
    old: Annotated[
        Path | None, Option(metavar="DIR", help="Where the model's own images are now, if they have moved.")
    ] = None,
    strangers: Strangers = None,
    changes: Settings = None,
    resume: Resume = False,
    fresh: Fresh = False,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Fine-tune a model on images that it gets wrong, and measure the change on the old test images."""
    changed, chosen, named = settings_of(changes or []), _stages(stages), classes_of(classes or ())

    from facevalue.api.finetune import finetune

    result = finetune(
        model,
        data,
        output,
        stages=chosen,
        lr=lr,
        epochs=epochs,
        replay=replay,
        groups=groups,
        classes=named,
        old=old,
        strangers=strangers or (),
        seed=seed,
        resume=resume,
        fresh=fresh,
        overwrite=overwrite,
        settings=changed,
    )
    figures = result.to_dict()
    before_after = [
        (name, figures[f"{key}_before"], figures[f"{key}_after"])
        for name, key in (("old test", "old_test"), ("hard test", "hard"))
    ]
    rows = [
        (
            name,
            before["n"],
            percent(before["accuracy"]),
            interval(before["accuracy_ci"]),
            percent(after["accuracy"]),
            interval(after["accuracy_ci"]),
            f"{100 * (after['accuracy'] - before['accuracy']):+.1f}",
        )
        for name, before, after in before_after
    ]
    deliver(
        figures,
        json,
        table("", ("images", "n", "before", "95 %", "after", "95 % after", "points"), rows),
        *(warning.line for warning in result.report.warnings),
        f"{output}: the model folder; {model} is unchanged",
    )


def _stages(text: str) -> int | Literal["head", "all"]:
    match text:
        case "head" | "all":
            return "head" if text == "head" else "all"
        case _ if text.isdigit():
            return int(text)
    raise UsageError(f"Expected --stages to be head, all or a number of at least 1, but got {text!r}")
