"""``facevalue calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from typer import Argument, Option

from facevalue.cli.common.options import Classes, Groups, MaxError, MaxFalsePositive, Model, Overwrite, Stable
from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import classes_of, words
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from facevalue.evidence.card import ModelCard
    from facevalue.evidence.records import CalibrationReport

EXAMPLE = "facevalue calibrate model new-images -o model-for-new-images --max-error 0.01"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[Path, Argument(metavar="DATA", help="Images with labels that the model was not trained on.")],
    output: Model,
    threshold: Annotated[
        float | None,
        Option(
            metavar="T", help="Predict the positive class from this probability on; without it, the model's threshold."
        ),
    ] = None,
    method: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="auto (temperature unless another method is better in cross-validation), temperature, vector, beta,"
            " isotonic or venn-abers; by default as in the model's recipe.",
        ),
    ] = None,
    damage: Annotated[
        str | None,
        Option(
            metavar="NAMES",
            help="Everyday damage to calibrate for, such as jpeg-60,resize-0.5, or none; by default as in the recipe.",
        ),
    ] = None,
    max_error: MaxError = None,
    max_false_positive: MaxFalsePositive = None,
    groups: Groups = None,
    classes: Classes = None,
    overwrite: Overwrite = False,
    stable: Stable = None,
    json: Json = None,
) -> None:
    """Fit the probabilities and the abstention limits on other images; the weights do not change."""
    named = classes_of(classes or ())

    from facevalue.api.calibrate import calibrate
    from facevalue.evidence.records import CalibrationReport

    kinds = None if damage is None else () if damage == "none" else words(damage, "--damage")
    card = calibrate(
        model,
        data,
        output,
        threshold=threshold,
        method=method,
        damage=kinds,
        max_error=max_error,
        max_false_positive=max_false_positive,
        groups=groups,
        classes=named,
        overwrite=overwrite,
        stable=stable,
    ).card
    (report,) = card.of_kind(CalibrationReport)
    limits = card.limits
    shown: dict[str, Any] = {
        "model": output,
        "temperature": card.temperature,
        "method": card.calibration.method,
        "threshold": card.threshold,
        "confidence": limits.confidence,
        "novelty": limits.novelty,
        "target": limits.target,
        "n": limits.n,
        "upper": limits.upper,
        "lower": limits.lower,
    }
    if card.stability is not None:
        stability = card.stability
        shown |= {"inputs": stability.inputs, "support": stability.support}
        shown |= {"flips": stability.flips, "answers": stability.answers}
    promises = {"stated_error": limits.stated_error, "false_positives": limits.false_positives}
    figures = {
        **shown,
        **{name: None if promise is None else promise.to_dict() for name, promise in promises.items()},
        "images": card.calibration.images,
        "log_loss": card.calibration.log_loss,
        "calibration": report.to_dict(),
    }
    deliver(
        figures,
        json,
        table("", ("setting", "value"), [item for item in shown.items() if item[1] is not None]),
        calibration_table(report),
        *promise_lines(card),
    )


def calibration_table(report: CalibrationReport) -> Table:
    """One row per condition: the images as they are, and each kind of damage."""
    how = ", cross-validated" if report.cross_validated else ""
    columns = ("images", "n", "accuracy", "ECE before", "after", "95 %", "by chance", "log loss", "answered", "error")
    rows = [
        (
            one.condition,
            one.n,
            percent(one.accuracy),
            percent(one.before.ece),
            percent(one.after.ece),
            interval(one.after.ece_ci),
            percent(one.after.ece_by_chance),
            one.after.nll,
            percent(one.coverage),
            percent(one.error_answered),
        )
        for one in report.conditions
    ]
    return table(f"calibration by {report.method} on {report.split}{how}", columns, rows)


def promise_lines(card: ModelCard) -> list[str]:
    """What the model promises of its answers, one line for each promise."""
    lines = []
    stated, bounded = card.limits.stated_error, card.limits.false_positives
    if stated is not None and stated.kept:
        shown = ", ".join(
            f"{name} {part.wrong} of {part.answered} wrong (at most {percent(part.upper)})"
            for name, part in stated.conditions.items()
        )
        lines.append(
            f"error among answers: at most {percent(stated.error)} with {percent(stated.certainty, 0)} confidence, "
            f"answered from probability {stated.limit:g}; calibration images: {shown}"
        )
    if bounded is not None and bounded.kept:
        shown = ", ".join(
            f"{source or 'all negatives'} at most {percent(max(part.upper for part in parts.values()))}"
            for source, parts in bounded.sources.items()
        )
        lower = "" if bounded.lower is None else f", negative up to {bounded.lower:g}"
        lines.append(
            f"false positives: at most {percent(bounded.rate)} of each source with {percent(bounded.certainty, 0)} "
            f"confidence, {card.positive} from probability {bounded.upper:g}{lower}; exact upper bounds: {shown}"
        )
    return lines
