"""Leaks: the same image or group in several splits, so that a test measures memorisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from facevalue.data.column_values import several_within
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, finding

ON_LEAKS = ("warn", "drop", "error")


@dataclass(frozen=True)
class Leak:
    """A group, or one image, that is in several splits.

    Attributes
    ----------
    group : its name.
    splits : those that hold it, in the order of :data:`SPLITS`.
    images : number of its images in these splits.
    identical : number of its files whose bytes are in more than one split.
    examples : one key per split.
    """

    group: str
    splits: tuple[str, ...]
    images: int
    identical: int
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "group": self.group,
            "splits": list(self.splits),
            "images": self.images,
            "identical": self.identical,
            "examples": list(self.examples),
        }


def find_leaks(table: pd.DataFrame) -> tuple[Leak, ...]:
    """Leaks among readable rows with groups and splits, the largest first.

    A group in several splits is a leak. So are files with the same bytes, even if they are in different groups.
    """
    table, in_split = table[["key", "group", "split", "sha256"]], (table["split"] != "").to_numpy(bool)
    table = table if in_split.all() else table[in_split]
    twice, crossing = (several_within(table[column], table["split"]) for column in ("sha256", "group"))
    found = []
    for name, rows in table.assign(twice=twice)[crossing].groupby("group"):
        found.append(_leak(str(name), rows, int(rows["twice"].sum())))
    loose = table[twice & ~crossing]
    for _, rows in loose.groupby("sha256"):
        found.append(_leak(str(rows["group"].iloc[0]), rows, len(rows)))
    return tuple(sorted(found, key=lambda leak: (-leak.images, leak.group)))


def _leak(name: str, rows: pd.DataFrame, identical: int) -> Leak:
    first = rows.groupby("split")["key"].first()
    splits = tuple(s for s in SPLITS if s in first.index)
    return Leak(name, splits, len(rows), identical, tuple(str(first[s]) for s in splits))


def leak_findings(leaks: Sequence[Leak]) -> list[Finding]:
    """One finding about all leaks; empty if there are none."""
    if not leaks:
        return []
    images, identical = sum(leak.images for leak in leaks), sum(leak.identical for leak in leaks)
    worst = leaks[0]
    example = " and ".join(f"{key} ({split})" for key, split in zip(worst.examples, worst.splits, strict=True))
    text = (
        f"the given splits leak: {images} images in {len(leaks)} groups are in several splits"
        + (f", {identical} of them byte for byte" if identical else "")
        + f", e.g. {example}"
    )
    return [finding("leak-across-splits", text, n=images, groups=len(leaks), identical=identical)]


def without_leaks(manifest: Manifest, on_leaks: str = "warn") -> tuple[Manifest, tuple[Leak, ...]]:
    """Handle leaks across given splits; returns the new manifest and the leaks.

    Parameters
    ----------
    manifest : with groups, and with the splits of its folder, if any.
    on_leaks : ``warn`` keeps the splits as given. ``drop`` keeps leaking images only in the last of their splits, in
        the order train, validation, calibration, test; all official test images stay. ``error`` raises.

    Raises
    ------
    UsageError
        ``on_leaks`` is none of these.
    DataError
        There are leaks and ``on_leaks`` is ``error``.
    """
    if on_leaks not in ON_LEAKS:
        raise UsageError(f"Expected `leaks` to be one of {', '.join(ON_LEAKS)}, but got {on_leaks!r}")
    table = manifest.table
    readable = table["error"] == ""
    leaks = find_leaks(table[readable])
    if not leaks or on_leaks == "warn":
        return manifest, leaks
    if on_leaks == "error":
        raise DataError(f"{leak_findings(leaks)[0].text}; remove them, or set `leaks` to drop")
    rank = table["split"].map({split: i for i, split in enumerate(SPLITS)}).fillna(-1)
    last = rank.where(readable, -1)
    keep = pd.Series(True, index=table.index)
    for column in ("group", "sha256"):
        keep &= last >= last.groupby(table[column]).transform("max")
    drop = readable & ~keep
    n = int(drop.sum())
    text = f"{n} images were left out of the given splits, because a later split holds the same image or group"
    note = finding("leaks-dropped", text, n=n)
    return manifest.changed(split=table["split"].where(~drop, ""), warnings=(*manifest.warnings, note)), leaks
