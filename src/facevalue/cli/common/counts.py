"""Print how many images there are of each class."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from facevalue.cli.common.output import printable, table

_SHOWN = 10  # classes shown one by one at most


def counts_table(counts: Mapping[str, Mapping[str, int]], groups: Mapping[str, int] | None = None) -> Table:
    """One row per split and class; of more than ten classes, one row per split with its smallest and largest class.

    Parameters
    ----------
    counts : images by split and class.
    groups : number of groups by split, for a further column.
    """
    classes = list(dict.fromkeys(label for of in counts.values() for label in of))
    if groups is not None and len(classes) <= _SHOWN:
        rows = [(split, *(of.get(c, 0) for c in classes), groups[split]) for split, of in counts.items()]
        return table("", ("split", *map(printable, classes), "groups"), rows)
    if len(classes) <= _SHOWN:
        flat = [(split, printable(label), n) for split, of in counts.items() for label, n in of.items()]
        return table("", ("split", "class", "n"), flat)
    columns = ("split", "n", "classes", "smallest class", "largest class", *([] if groups is None else ["groups"]))
    found = []
    for split, of in counts.items():
        least, most = min(of, key=of.__getitem__), max(of, key=of.__getitem__)
        ends = (f"{printable(least)} ({of[least]})", f"{printable(most)} ({of[most]})")
        found.append((split, sum(of.values()), len(of), *ends, *([] if groups is None else [groups[split]])))
    return table("", columns, found)
