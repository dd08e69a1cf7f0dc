"""``facevalue attack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from facevalue.cli.common.options import Classes
from facevalue.cli.common.output import Json, deliver, png_option, table
from facevalue.cli.common.parsing import classes_of, fractions, words
from facevalue.cli.common.reporters import duration
from facevalue.cli.common.shell import Seed
from facevalue.cli.evaluate import all_classes_line, confusion_table
from facevalue.support.formats import eps_text, interval, percent

EXAMPLE = "facevalue attack model images --attacks fgsm,pgd --eps 1/255,4/255 --plot curve.png"

NAMES = "fgsm, bim, pgd, mifgsm, cw, deepfool, apgd, fab, square, and suite (the worst of apgd, fab and square)"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        Path, Argument(metavar="DATA", help="Images with labels: one folder per class, splits, or a manifest.")
    ],
    attacks: Annotated[str, Option(metavar="NAME,...", help=f"Attacks: {NAMES}.")] = "fgsm",
    norm: Annotated[str, Option(metavar="NORM", help="linf or l2.")] = "linf",
    eps: Annotated[
        str | None, Option(metavar="EPS,...", help="Largest change of pixels in [0, 1], such as 1/255,2/255.")
    ] = None,
    defense: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Apply jpeg, blur, median, bits, noise or tv before the model, and attack both together.",
        ),
    ] = None,
    target: Annotated[
        str | None, Option(metavar="CLASS", help="Targeted attack: only a change to this class counts as success.")
    ] = None,
    classes: Classes = None,
    limit: Annotated[int | None, Option(min=1, metavar="N", help="Most images to attack.")] = None,
    plot: Annotated[Path | None, png_option("--plot", text="Draw accuracy against eps to a PNG.")] = None,
    sheet: Annotated[
        Path | None, png_option("--sheet", text="Draw attacked images next to the originals to a PNG.")
    ] = None,
    save_images: Annotated[
        Path | None, Option(metavar="DIR", help="Save every adversarial image as a PNG in a new folder.")
    ] = None,
    save: Annotated[bool, Option(help="Add the figures to the model's card.")] = True,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measure the accuracy on images that were changed slightly to mislead the model."""
    chosen: dict[str, Any] = {} if eps is None else {"eps": fractions(eps)}
    names, renamed = words(attacks, "--attacks"), classes_of(classes or ())

    from facevalue.api.attack import attack

    report = attack(
        model,
        data,
        attacks=names,
        norm=norm,
        defense=defense,
        target=target,
        classes=renamed,
        limit=limit,
        seed=seed,
        plot=plot,
        sheet=sheet,
        save_images=save_images,
        save=save,
        **chosen,
    )
    columns = ["attack", "norm", "eps", "defense", "n", "clean", "robust", "95 %", "time"]
    rows: list[list[object]] = [
        [
            *(r.attack, r.norm, eps_text(r.eps, r.norm)),
            None if r.defense is None else f"{r.defense}, {'adaptive' if r.adaptive else 'blind'}",
            *(r.n, percent(r.clean_accuracy), percent(r.robust_accuracy), interval(r.robust_ci), duration(r.seconds)),
            *([] if target is None else [percent(r.target_rate)]),
        ]
        for r in report.results
    ]
    if target is not None:
        columns.append(f"changed to {target}")
    clean = percent(report.results[0].clean_accuracy)
    noise = [
        [
            *("random noise", r.norm, eps_text(r.eps, r.norm), None, r.n),
            *(clean, percent(r.accuracy), interval(r.accuracy_ci)),
        ]
        for r in report.noise
    ]
    rows += [[*row, *[None] * (len(columns) - len(row))] for row in noise]
    worst = min(report.results, key=lambda r: r.robust_accuracy)
    deliver(
        report.to_dict(),
        json,
        table("", columns, rows),
        confusion_table(report.classes, report.clean_confusion, "clean"),
        confusion_table(report.classes, worst.confusion, f"{worst.attack} at eps {eps_text(worst.eps, worst.norm)}"),
        *all_classes_line(report.classes),
        *(warning.line for warning in report.warnings),
    )
