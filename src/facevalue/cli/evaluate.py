"""``facevalue evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver, png_option, table
from facevalue.cli.common.parsing import words
from facevalue.cli.common.shell import Seed
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from facevalue.evidence.records import CertificateReport, CorruptionReport, Evaluation, SliceStudy

EXAMPLE = "facevalue evaluate model other-images --json figures.json"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        Path, Argument(metavar="DATA", help="Images with labels: one folder per class, splits, or a manifest.")
    ],
    split: Annotated[str | None, Option(metavar="NAME", help="Only this split of the data.")] = None,
    slices: Annotated[
        list[str] | None,
        Option(
            metavar="COLUMN",
            help="Tell the figures apart by a manifest's column (several between commas), parent, or stem:REGEX.",
        ),
    ] = None,
    corruptions: Annotated[
        bool,
        Option(
            "--corruptions", help="Also under everyday corruptions: JPEG, blur, noise, resize, crop, brightness, …."
        ),
    ] = False,
    certify: Annotated[
        bool, Option("--certify", help="Also what is proven behind randomised smoothing (see --sigma).")
    ] = False,
    sigma: Annotated[float, Option(min=0, metavar="SIGMA", help="Noise of --certify, on pixels in [0, 1].")] = 0.25,
    samples: Annotated[int, Option(min=1, metavar="N", help="Noisy copies per image for --certify.")] = 1000,
    limit: Annotated[
        int | None,
        Option(min=1, metavar="N", help="Images for --corruptions (500 if not said) and --certify (100) at most."),
    ] = None,
    plot: Annotated[
        Path | None, png_option("--plot", text="Draw the curves of --corruptions or --certify to a PNG.")
    ] = None,
    seed: Seed = 0,
    save: Annotated[bool, Option(help="Add the figures to the model's card.")] = True,
    json: Json = None,
) -> None:
    """Measure a model on images with known labels, with 95 % intervals."""
    from facevalue.api.evaluate import certify as run_certify
    from facevalue.api.evaluate import evaluate, evaluate_corruptions

    report = evaluate(model, data, split=split, slices=columns_of(slices or ()), save=save)
    figures = report.to_dict()
    more: list[Table | str] = []
    asked: dict[str, Any] = {"split": split, "seed": seed, "save": save}
    if limit is not None:
        asked["limit"] = limit
    if corruptions:
        corrupted = evaluate_corruptions(model, data, **asked, plot=plot)
        figures["corruptions"] = corrupted.to_dict()
        more += [corruption_table(corrupted), *(w.line for w in corrupted.warnings)]
    if certify:
        proven = run_certify(model, data, sigma=sigma, samples=samples, **asked, plot=None if corruptions else plot)
        figures["certificate"] = proven.to_dict()
        more += [certificate_table(proven), *(w.line for w in proven.warnings)]
    deliver(
        figures,
        json,
        evaluation_table([report]),
        confusion_table(report.classes, report.confusion),
        *(part for study in report.slices for part in slice_parts(study)),
        *(w.line for w in (*report.warnings, *(w for s in report.slices for w in s.warnings))),
        *more,
        *(f"left out: {bad['path']} {bad['reason']}" for bad in report.unreadable),
    )


def columns_of(given: Sequence[str]) -> tuple[str, ...]:
    """Columns of ``--slices``; a pattern may hold commas.

    >>> columns_of(["age, gender", "stem:^(.{1,3})_"])
    ('age', 'gender', 'stem:^(.{1,3})_')
    """
    return tuple(c for text in given for c in ((text,) if text.startswith("stem:") else words(text, "--slices")))


def slice_parts(study: SliceStudy) -> list[Table | str]:
    """The table of one column, and one line per gap."""
    return [slice_table(study), *gap_lines(study)]


def slice_table(study: SliceStudy) -> Table:
    """One row per slice; those too small to say are marked."""
    labels = list(dict.fromkeys(label for s in study.slices for label in s.recall))
    columns = (study.column, "n", "accuracy", "95 %", *(f"{label} right" for label in labels), "")
    rows = [
        (
            s.value,
            s.n,
            percent(s.accuracy),
            interval(s.accuracy_ci),
            *(percent(s.recall.get(label)) for label in labels),
            "too small to say" if s.small else "",
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
    """One row per kind of corruption, accuracy from mild to severe, each with its strength."""
    kinds = dict.fromkeys(r.corruption for r in report.results)
    rows = []
    for kind in kinds:
        of_kind = [r for r in report.results if r.corruption == kind]
        cells = [f"{percent(r.accuracy)} at {r.strength:g}" for r in of_kind]
        rows.append((kind, *cells, of_kind[0].unit))
    title = f"everyday corruptions, n = {report.n}: {percent(report.mean_accuracy)} right in the mean of all kinds"
    return table(title, ("corruption", "mild", "", "", "", "severe", "strength in"), rows)


def certificate_table(report: CertificateReport) -> Table:
    """What is proven at some radii."""
    title = (
        f"behind smoothing with sigma {report.sigma:g}, n = {report.n}, {report.samples} copies per image, each "
        f"certificate wrong with a probability of at most {report.alpha:g}; {report.abstained} abstained"
    )
    rows = [(f"{c.radius:.3f}", percent(c.accuracy), interval(c.accuracy_ci)) for c in report.curve[::4]]
    return table(title, ("L2 radius", "certified", "95 %"), rows)


def evaluation_table(reports: Sequence[Evaluation]) -> Table:
    """One row per split, the figures that matter first."""
    columns = ("split", "n", "accuracy", "95 %", "balanced", "auroc", "ece", "brier", "answered", "right of those")
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
    """Rows are the truth, columns the decision."""
    rows = [(truth, *row) for truth, row in zip(classes, counts, strict=True)]
    return table(title, ("truth / decided", *classes), rows)
