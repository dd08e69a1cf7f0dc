"""Images of new sources, given as ``class/source`` and a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import finding, say
from facevalue.images.walker import PassedOver, Walker

FEWEST = 5
"""Fewest images of a new source: fewer cannot be cross-validated in five folds."""


def new_sources(
    add: Mapping[str, Path | str], classes: Sequence[str], sources: Sequence[str], known: Manifest
) -> tuple[Manifest, int]:
    """The images of new sources with their class and source, and the number left out because the model has them.

    Parameters
    ----------
    add : folder by ``class/source``.
    classes, sources : of the model; the latter as ``class/source``.
    known : the model's own images.

    Raises
    ------
    UsageError
        A name is not ``class/source``, its class is not one of the model's, or the model has this source already.
    DataError
        A folder has fewer than :data:`FEWEST` readable images that are new to the model.
    """
    if not add:
        raise UsageError("`add` names no source; give a folder for each, such as real/camera-x=FOLDER")
    rows = []
    for name, folder in add.items():
        label, _, source = name.partition("/")
        if not label or not source:
            raise UsageError(f"expected `add` to name class and source, such as real/camera-x, but got {name!r}")
        if label not in classes:
            raise UsageError(f"`add` {name}: the model has no class {label!r}; it has {', '.join(classes)}")
        if name in sources:
            raise UsageError(f"`add` {name}: the model has this source already; choose another name")
        if not Path(folder).is_dir():
            raise UsageError(f"`add` {name}: {folder} is not a folder")
        ignored = PassedOver()
        rows += [(str(path), label, source) for path in sorted(Walker(Path(folder), ignored.add).images())]
        line = ignored.line()
        if line is not None:
            say([finding("files-passed-over", line, n=len(ignored.found))])
    if not rows:
        raise DataError("there is no image in the folders of `add`")
    found = scan(pd.DataFrame(rows, columns=["path", "label", "source"]))
    found = replace(found, source="; ".join(str(folder) for folder in add.values()))
    mine = found.table["sha256"].isin(known.readable["sha256"])
    new = replace(found, table=found.table[~mine].reset_index(drop=True))
    counts = (new.readable["label"] + "/" + new.readable["source"]).value_counts()
    for name in add:
        if (n := int(counts.get(name, 0))) < FEWEST:
            raise DataError(f"`add` {name}: {n} readable images are new to the model, but at least {FEWEST} are needed")
    return new, int(mine.sum())
