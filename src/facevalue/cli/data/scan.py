"""``facevalue data scan``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Option

from facevalue.cli.common.counts import counts_table
from facevalue.cli.common.options import Data
from facevalue.cli.common.output import Json, deliver, file_option, printable, table
from facevalue.cli.common.source_tables import source_parts
from facevalue.errors import DataError

if TYPE_CHECKING:
    from facevalue.data.audit import Audit

EXAMPLE = "facevalue data scan images --page findings.html --strict"

_CLASSES = 6  # most classes with the usual value of a file fact
_SHOWN = 10  # most findings of one kind in the terminal; --json has all


def run(
    data: Data,
    page: Annotated[Path | None, file_option("--page", text="Write an HTML page with images to explore.")] = None,
    manifest: Annotated[
        Path | None, file_option("--manifest", text="Write the table of all files, as Parquet.")
    ] = None,
    groups: Annotated[
        str | None,
        Option(metavar="HOW", help="Which images belong together: parent, stem:REGEX, image, or a manifest's column."),
    ] = None,
    near: Annotated[
        int, Option(min=0, max=255, metavar="BITS", help="Near-duplicates differ in at most this many of 256 bits.")
    ] = 32,
    fresh: Annotated[bool, Option("--fresh", help="Read all files again, without the cache of earlier scans.")] = False,
    labels: Annotated[
        bool, Option("--labels", help="Search for label errors with the features of a network; takes longer.")
    ] = False,
    network: Annotated[str, Option(metavar="NAME", help="With --labels: the network.")] = "mobilenetv2_100",
    weights: Annotated[str, Option(metavar="FILE", help="With --labels: its weights, a file or hub.")] = "hub",
    strict: Annotated[bool, Option("--strict", help="Exit with code 1 if there is a warning.")] = False,
    json: Json = None,
) -> None:
    """Check images: unreadable files, copies, unusual images, leaks, and files or processing that reveal the class."""
    from facevalue.api.data.scan import scan_data

    found = scan_data(
        data,
        groups=groups,
        near=near,
        fresh=fresh,
        manifest=manifest,
        page=page,
        labels=labels,
        network=network,
        weights=weights,
    )
    deliver(found.to_dict(), json, *_tables_and_lines(found), *([f"{page}: the page to explore"] if page else []))
    if strict and found.warnings:
        more = len(found.warnings) - 1
        raise DataError(str(found.warnings[0]) + (f"; and {more} more warnings" if more else ""))


def _usual(by_class: Mapping[str, str]) -> str:
    more = len(by_class) - _CLASSES
    shown = [f"{label}: {value}" for label, value in islice(by_class.items(), _CLASSES)]
    return "; ".join([*shown, *([f"and {more} more classes"] if more > 0 else [])])


def _tables_and_lines(found: Audit) -> list[Table | str]:
    unusual = Counter(oddity.kind for oddity in found.oddities)
    copies, shortcuts, processing = found.copies, found.shortcuts, found.processing
    findings = [
        ("images", len(found.manifest.readable_of("label"))),
        ("unreadable files", len(found.manifest.unreadable)),
        ("skipped files and folders", len(found.manifest.ignored)),
        ("groups of identical files", len(copies.duplicates)),
        ("groups of near-duplicates", len(copies.near)),
        ("contradictions", len(copies.contradictions)),
        ("leaks across given splits", len(found.leaks)),
        *((f"unusual: {kind}", n) for kind, n in unusual.items()),
        *([] if found.suspects is None else [("suspicious labels", len(found.suspects))]),
        ("AUC of file facts", "-" if shortcuts.auc is None else f"{shortcuts.auc:.3f}"),
        *(
            (f"AUC of processing, by {what} (n = {processing.n})", f"{part.auc:.3f}")
            for what, part in (("class", processing.by_class), ("source", processing.by_source))
            if part is not None
        ),
    ]
    parts: list[Table | str] = [counts_table(found.manifest.counts()), table("", ("finding", "n"), findings)]
    if shortcuts.facts:
        rows = [(f.fact, f.auc, printable(_usual(f.usual))) for f in shortcuts.facts]
        parts.append(table("file facts that reveal the class", ("fact", "AUC", "usual value by class"), rows))
    if processing.by_class is not None and processing.by_class.traces:
        columns = ("trace", "AUC", "AUC at half the size", "usual value by class")
        seen = [
            (t.trace, t.auc, t.control_auc, printable("; ".join(f"{c}: {v}" for c, v in t.usual.items())))
            for t in processing.by_class.traces
        ]
        parts.append(table("traces of how the images were processed", columns, seen))
    if found.sources is not None:
        parts.extend(source_parts(found.sources))
    for contradiction in copies.contradictions[:_SHOWN]:
        pairs = zip(contradiction.paths, contradiction.labels, strict=True)
        parts.append("contradiction: " + " | ".join(f"{path} ({label})" for path, label in pairs))
    parts.extend(
        f"suspicious label: {s.path} ({s.label}, looks like {s.suggested})" for s in (found.suspects or ())[:_SHOWN]
    )
    parts.extend(f"unreadable: {bad['path']} {bad['reason']}" for bad in found.manifest.unreadable[:_SHOWN])
    parts.extend(each.line for each in (*found.notes, *found.warnings))
    return [printable(line) if isinstance(line, str) else line for line in parts]
