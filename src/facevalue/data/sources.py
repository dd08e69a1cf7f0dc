"""Where images are from: the column ``source`` of a manifest, or the sub-folders of a class."""

from __future__ import annotations

from pathlib import PurePosixPath

import pandas as pd

MOST = 20
"""Sub-folders of a class count as sources up to this number; more are people, scenes or categories."""


def sources_of(rows: pd.DataFrame) -> list[str]:
    """(n,) the source of each image, "" where it is not known; empty if no image has one.

    Parameters
    ----------
    rows : of a manifest. Their column ``source`` counts; without it, the folder directly below that of the class, if
        the class has at most :data:`MOST` of them.
    """
    if "source" in rows.columns:
        found = [str(value) for value in rows["source"].astype(object).where(rows["source"].notna(), "")]
    elif "key" in rows.columns:
        folders, labels = folders_below(rows), list(map(str, rows["label"]))
        of_class: dict[str, set[str]] = {}
        for label, folder in set(zip(labels, folders, strict=True)):
            of_class.setdefault(label, set()).add(folder)
        found = [f if len(of_class[own]) <= MOST else "" for f, own in zip(folders, labels, strict=True)]
    else:
        found = []
    return found if any(found) else []


def folders_below(rows: pd.DataFrame) -> list[str]:
    """(n,) the folder directly below that of the class, by the columns ``key`` and ``label``; "" without one."""
    known: dict[tuple[str, str], str] = {}
    found = []
    for key, label in zip(map(str, rows["key"]), map(str, rows["label"]), strict=True):
        place = key.rpartition("/")[0], label
        if place not in known:  # of a million images most lie beside another
            known[place] = _below_class(key, label)
        found.append(known[place])
    return found


def _below_class(key: str, label: str) -> str:
    """The folder directly below the class's; "" if the image lies in the class's folder itself."""
    parts = PurePosixPath(key).parts[:-1]
    if label not in parts:
        return ""
    below = parts[len(parts) - parts[::-1].index(label) :]
    return below[0] if below else ""
