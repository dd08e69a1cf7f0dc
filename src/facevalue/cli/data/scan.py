"""``facevalue data scan``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Option

from facevalue.cli.common.options import Data
from facevalue.cli.common.output import Json, deliver, file_option, printable, table
from facevalue.errors import DataError

if TYPE_CHECKING:
    from facevalue.data.audit import Audit

EXAMPLE = "facevalue data scan images --page findings.html --strict"

_SHOWN = 10  # findings of one kind in the terminal; --json has all


def run(
    data: Data,
    page: Annotated[Path | None, file_option("--page", text="Write an HTML page with images to explore.")] = None,
    manifest: Annotated[
        Path | None, file_option("--manifest", text="Write the table of all files, as Parquet.")
    ] = None,
    groups: Annotated[
        str | None,
        Option(metavar="HOW", help="What belongs together: parent, stem:REGEX, image, or a manifest's column."),
    ] = None,
    near: Annotated[
        int, Option(min=0, max=255, metavar="BITS", help="Bits of 256 in which near-duplicates differ at most.")
    ] = 32,
    fresh: Annotated[bool, Option("--fresh", help="Read files anew that an earlier scan remembers.")] = False,
    labels: Annotated[
        bool, Option("--labels", help="Look for label errors with a network's features; takes longer.")
    ] = False,
    network: Annotated[str, Option(metavar="NAME", help="With --labels: whose features.")] = "mobilenetv2_100",
    weights: Annotated[str, Option(metavar="FILE", help="With --labels: a weights file, or hub.")] = "hub",
    strict: Annotated[bool, Option("--strict", help="A warning is an error: exit code 1.")] = False,
    json: Json = None,
) -> None:
    """Read every image and say what is wrong: unreadable, the same twice, odd, or told apart by its file alone."""
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
    deliver(found.to_dict(), json, *_told(found), *([f"{page}: the page to explore"] if page else []))
    if strict and found.warnings:
        more = len(found.warnings) - 1
        raise DataError(str(found.warnings[0]) + (f"; and {more} more warnings" if more else ""))


def _told(found: Audit) -> list[Table | str]:
    counts = [(split, printable(label), n) for split, of in found.manifest.counts().items() for label, n in of.items()]
    odd = Counter(oddity.kind for oddity in found.oddities)
    copies, shortcuts = found.copies, found.shortcuts
    findings = [
        ("images", len(found.manifest.readable)),
        ("unreadable files", len(found.manifest.unreadable)),
        ("passed over", len(found.manifest.ignored)),
        ("groups of identical files", len(copies.duplicates)),
        ("groups of near-duplicates", len(copies.near)),
        ("contradictions", len(copies.contradictions)),
        ("leaks across given splits", len(found.leaks)),
        *((f"odd: {kind}", n) for kind, n in odd.items()),
        *([] if found.suspects is None else [("suspicious labels", len(found.suspects))]),
        ("AUC of file facts", "-" if shortcuts.auc is None else f"{shortcuts.auc:.3f}"),
    ]
    said: list[Table | str] = [table("", ("split", "class", "n"), counts), table("", ("finding", "n"), findings)]
    if shortcuts.facts:
        rows = [(f.fact, f.auc, printable("; ".join(f"{c}: {v}" for c, v in f.usual.items()))) for f in shortcuts.facts]
        said.append(table("What the files give away", ("fact", "AUC alone", "usual"), rows))
    for contradiction in copies.contradictions[:_SHOWN]:
        pairs = zip(contradiction.paths, contradiction.labels, strict=True)
        said.append("contradiction: " + " | ".join(f"{path} ({label})" for path, label in pairs))
    said.extend(
        f"suspicious label: {s.path} ({s.label}, looks like {s.suggested})" for s in (found.suspects or ())[:_SHOWN]
    )
    said.extend(f"unreadable: {bad['path']} {bad['reason']}" for bad in found.manifest.unreadable[:_SHOWN])
    said.extend(each.line for each in (*found.notes, *found.warnings))
    return [printable(line) if isinstance(line, str) else line for line in said]
