"""``facevalue evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.table import Table
from typer import Argument, Option

from facevalue.cli.calibrate import calibration_table
from facevalue.cli.common.options import Classes, Stable, Strangers
from facevalue.cli.common.output import Json, deliver, png_option, table
from facevalue.cli.common.parsing import classes_of, words
from facevalue.cli.common.shell import Seed
from facevalue.cli.common.source_tables import left_out_parts
from facevalue.cli.explain import explanation_table
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from facevalue.evidence.records import (
        CertificateReport,
        CorruptionReport,
        Evaluation,
        RemadeReport,
        SliceStudy,
        StrangerReport,
    )

EXAMPLE = "facevalue evaluate model other-images --json figures.json"
_FILES = 10  # files listed at most
_RECALLS = 6  # columns of recall at most


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        Path, Argument(metavar="DATA", help="Images with labels: one folder per class, splits, or a manifest.")
    ],
    split: Annotated[str | None, Option(metavar="NAME", help="Only this split of the data.")] = None,
    classes: Classes = None,
    slices: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Also give figures for each value of a manifest's column (or several, COLUMN,COLUMN), parent, or"
            " stem:REGEX.",
        ),
    ] = None,
    calibration: Annotated[
        bool,
        Option(
            "--calibration",
            help="Also measure the probabilities before and after calibration, and after everyday damage.",
        ),
    ] = False,
    corruptions: Annotated[
        bool,
        Option(
            "--corruptions", help="Also measure accuracy under corruptions: JPEG, blur, noise, resize, crop and others."
        ),
    ] = False,
    remade: Annotated[
        bool,
        Option(
            "--remade",
            help="Also measure which answers change when images are saved again: resized, compressed, as a screenshot.",
        ),
    ] = False,
    explanations: Annotated[
        bool,
        Option("--explanations", help="Also measure how faithful each explanation method is: insertion, deletion."),
    ] = False,
    certify: Annotated[
        bool, Option("--certify", help="Also measure certified accuracy with randomised smoothing (see --sigma).")
    ] = False,
    strangers: Strangers = None,
    leave_out: Annotated[
        Literal["source", "family"] | None,
        Option(
            "--leave-out",
            help="Also train a probe's head again without each source (or family), and test it on that source.",
        ),
    ] = None,
    seeds: Annotated[int, Option(min=1, metavar="N", help="Heads per source for --leave-out.")] = 1,
    sigma: Annotated[float, Option(min=0, metavar="SIGMA", help="Noise for --certify, for pixels in [0, 1].")] = 0.25,
    samples: Annotated[int, Option(min=1, metavar="N", help="Noisy copies per image for --certify.")] = 1000,
    limit: Annotated[
        int | None,
        Option(
            min=1,
            metavar="N",
            help="Most images: 500 by default for --calibration and --corruptions, --remade 200, --certify 100,"
            " --explanations 40, --leave-out 50 of each source.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, png_option("--plot", text="Draw the curves of --corruptions or --certify to a PNG.")
    ] = None,
    stable: Stable = None,
    seed: Seed = 0,
    save: Annotated[bool, Option(help="Add the figures to the model's card.")] = True,
    json: Json = None,
) -> None:
    """Measure a model on images with known labels, with 95 % intervals."""
    named = classes_of(classes or ())

    if leave_out is not None:  # before the other figures are made and saved
        from facevalue.evidence.card import ModelCard
        from facevalue.training.left_out import recipe_of_probe

        recipe_of_probe(ModelCard.load(model))

    from facevalue.api.evaluate import certify as run_certify
    from facevalue.api.evaluate import (
        evaluate,
        evaluate_calibration,
        evaluate_corruptions,
        evaluate_explanations,
        evaluate_left_out,
        evaluate_remade,
        evaluate_strangers,
    )

    report = evaluate(
        model, data, split=split, classes=named, slices=columns_of(slices or ()), save=save, stable=stable
    )
    figures = report.to_dict()
    more: list[Table | str] = []
    common: dict[str, Any] = {"split": split, "classes": named, "seed": seed, "save": save}
    if limit is not None:
        common["limit"] = limit
    if calibration:
        probable = evaluate_calibration(model, data, **common)
        figures["calibration"] = probable.to_dict()
        more += [calibration_table(probable), *(w.line for w in probable.warnings)]
    if corruptions:
        corrupted = evaluate_corruptions(model, data, **common, plot=plot)
        figures["corruptions"] = corrupted.to_dict()
        more += [corruption_table(corrupted), *(w.line for w in corrupted.warnings)]
    if remade:
        again = evaluate_remade(model, data, **common, stable=stable)
        figures["remade"] = again.to_dict()
        more += [*remade_parts(again), *(w.line for w in again.warnings)]
    if explanations:
        faithful = evaluate_explanations(model, data, **common)
        figures["explanations"] = faithful.to_dict()
        more += [explanation_table(faithful.results, f"explanations, n = {faithful.n}")]
        more += [
            *(f"method left out: {why}" for why in faithful.refused.values()),
            *(w.line for w in faithful.warnings),
        ]
    if certify:
        certified = run_certify(model, data, sigma=sigma, samples=samples, **common, plot=None if corruptions else plot)
        figures["certificate"] = certified.to_dict()
        more += [certificate_table(certified), *(w.line for w in certified.warnings)]
    if strangers:
        refused = evaluate_strangers(model, data, strangers, split=split, classes=named, save=save)
        figures["strangers"] = refused.to_dict()
        more += [stranger_table(refused), *(w.line for w in refused.warnings)]
    if leave_out is not None:
        apart = evaluate_left_out(model, data, by=leave_out, seeds=seeds, **common)
        figures["left_out"] = apart.to_dict()
        more += [*left_out_parts(apart), *(w.line for w in apart.warnings)]
    deliver(
        figures,
        json,
        evaluation_table([report]),
        confusion_table(report.classes, report.confusion),
        *all_classes_line(report.classes),
        *(part for study in report.slices for part in slice_parts(study)),
        *(w.line for w in (*report.warnings, *(w for s in report.slices for w in s.warnings))),
        *more,
        *left_out_lines(report.unreadable),
    )


def left_out_lines(unreadable: Sequence[Mapping[str, str]]) -> list[str]:
    """One line for each of the first files, and one for the rest."""
    more = len(unreadable) - _FILES
    lines = [f"left out: {bad['path']} {bad['reason']}" for bad in unreadable[:_FILES]]
    return [*lines, f"left out: {more} more files; --json FILE lists all"] if more > 0 else lines


def columns_of(given: Sequence[str]) -> tuple[str, ...]:
    """The columns named by ``--slices``; a pattern may hold commas.

    >>> columns_of(["age, gender", "stem:^(.{1,3})_"])
    ('age', 'gender', 'stem:^(.{1,3})_')
    """
    return tuple(c for text in given for c in ((text,) if text.startswith("stem:") else words(text, "--slices")))


def slice_parts(study: SliceStudy) -> list[Table | str]:
    """The table of one column, and one line per gap."""
    return [slice_table(study), *gap_lines(study)]


def slice_table(study: SliceStudy) -> Table:
    """One row per slice; slices with too few images to judge are marked."""
    labels = list(dict.fromkeys(label for s in study.slices for label in s.recall))
    if len(labels) > _RECALLS:  # the JSON has all
        labels = []
    columns = (study.column, "n", "accuracy", "95 %", *(f"recall of {label}" for label in labels), "")
    rows = [
        (
            s.value,
            s.n,
            percent(s.accuracy),
            interval(s.accuracy_ci),
            *(percent(s.recall.get(label)) for label in labels),
            "too few images" if s.small else "",
        )
        for s in study.slices
    ]
    return table("", columns, rows)


def gap_lines(study: SliceStudy) -> list[str]:
    """The largest difference of each figure, and whether it is more than chance."""
    return [
        f"largest gap in {g.figure}: {100 * g.gap:.1f} points ({100 * g.gap_ci[0]:.1f} to {100 * g.gap_ci[1]:.1f}), "
        f"{g.best} against {g.worst}" + ("" if g.sure else "; may be chance")
        for g in study.gaps
    ]


def corruption_table(report: CorruptionReport) -> Table:
    """One row per corruption, with accuracy and strength from mild to severe."""
    kinds = dict.fromkeys(r.corruption for r in report.results)
    rows = []
    for kind in kinds:
        of_kind = [r for r in report.results if r.corruption == kind]
        cells = [f"{percent(r.accuracy)} at {r.strength:g}" for r in of_kind]
        rows.append((kind, *cells, of_kind[0].unit))
    title = f"everyday corruptions, n = {report.n}: mean accuracy is {percent(report.mean_accuracy)}"
    return table(title, ("corruption", "mild", "", "", "", "severe", "unit of strength"), rows)


def stranger_table(report: StrangerReport) -> Table:
    """One row per set, and the model's own images."""
    title = f"answered although the model must refuse them; of its own {report.n} images it answers"
    rows = [
        (s.name, s.n, percent(s.answered), interval(s.answered_ci), f"{s.auroc:.3f}", _named_counts(s.answered_as))
        for s in report.sets
    ]
    return table(
        f"{title} {percent(report.answered_own)}", ("strangers", "n", "answered", "95 %", "auroc", "answered as"), rows
    )


def _named_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {n}" for label, n in counts.items())


def remade_parts(report: RemadeReport) -> list[Table | str]:
    """One row per pipeline, and the flips over all of them."""
    columns = ("pipeline", "flips", "of answers", "95 %", "accuracy", "answered", "accuracy of those")
    rows = [
        (
            r.pipeline,
            r.flips,
            r.answers,
            "-" if r.flip_rate_ci is None else interval(r.flip_rate_ci),
            percent(r.accuracy),
            percent(r.coverage),
            percent(r.accuracy_answered),
        )
        for r in report.results
    ]
    title = (
        f"re-made images, n = {report.n}; as they are: accuracy is {percent(report.original_accuracy)}, answered are "
        f"{percent(report.original_coverage)}"
    )
    lines = []
    if report.flip_rate_ci is not None:
        lines = [
            f"flips in all: {percent(report.flip_rate)} of {report.answers} answers ({interval(report.flip_rate_ci)}); "
            f"{report.images_flipped} of {report.images_answered} images flip in at least one pipeline"
        ]
    return [table(title, columns, rows), *lines]


def certificate_table(report: CertificateReport) -> Table:
    """Certified accuracy at some radii."""
    title = (
        f"randomised smoothing with sigma {report.sigma:g}, n = {report.n}, {report.samples} copies per image, each "
        f"certificate wrong with a probability of at most {report.alpha:g}; {report.abstained} abstained"
    )
    rows = [(f"{c.radius:.3f}", percent(c.accuracy), interval(c.accuracy_ci)) for c in report.curve[::4]]
    return table(title, ("L2 radius", "certified accuracy", "95 %"), rows)


def evaluation_table(reports: Sequence[Evaluation]) -> Table:
    """One row per split, the most important figures first."""
    columns = ("split", "n", "accuracy", "95 %", "balanced", "auroc", "ece", "brier", "answered", "accuracy of those")
    rows = [
        (
            r.split,
            r.n,
            percent(r.accuracy),
            interval(r.accuracy_ci),
            percent(r.balanced_accuracy),
            r.auroc,
            r.ece,
            r.brier,
            percent(r.coverage),
            percent(r.accuracy_answered),
        )
        for r in reports
    ]
    return table("", columns, rows)


def confusion_table(classes: Sequence[str], counts: Sequence[Sequence[int]], title: str = "") -> Table:
    """The confusion matrix, true classes in rows; of more than ten classes the worst ones."""
    from facevalue.evaluation.worst_classes import SHOWN, worst_classes

    if len(classes) <= SHOWN:
        rows = [(truth, *row) for truth, row in zip(classes, counts, strict=True)]
        return table(title, ("true / predicted", *classes), rows)
    worst = worst_classes(classes, counts)
    found = [
        (c.label, c.n, percent(c.recall), interval(c.recall_ci), f"{c.taken_for} ({c.times})" if c.taken_for else "-")
        for c in worst
    ]
    heading = f"{title + ': ' if title else ''}the {len(worst)} worst of {len(classes)} classes"
    return table(heading, ("true class", "n", "recall", "95 %", "mostly predicted instead"), found)


def all_classes_line(classes: Sequence[str]) -> list[str]:
    """Where to find the classes that :func:`confusion_table` leaves out, if it does."""
    from facevalue.evaluation.worst_classes import SHOWN

    return ["the whole confusion matrix is in --json FILE"] if len(classes) > SHOWN else []
