"""Which images of a hard set are new to a model, and how they are split."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.groups import with_groups
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError
from facevalue.evidence.findings import finding

SHARES = {"validation": 0.15, "calibration": 0.15, "test": 0.3}
"""Of the hard images; more is kept for the test than from a large set, because hard sets are small."""


def hard_manifest(
    found: Manifest, known: Manifest, classes: tuple[str, ...], groups: str | None, seed: int
) -> tuple[Manifest, int]:
    """The hard images with groups and splits, and how many were left out.

    Left out is what the model's own set holds already, the same file or a near-duplicate: it would let the old test
    images be trained on, or the hard ones be tested that were.

    Raises
    ------
    DataError
        There is a class that the model does not know, or too few groups of a class for a training and three held-out
        parts.
    """
    other = sorted(set(found.readable["label"]) - set(classes))
    if other:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classes)}; "
            f"{found.source} has {', '.join(found.classes)}"
        )
    mine, theirs = known.readable, found.readable
    joint = pd.concat([mine.assign(key="old/" + mine["key"]), theirs.assign(key="hard/" + theirs["key"])])
    near = with_groups(Manifest(joint.reset_index(drop=True), found.source), "image").table
    old_groups = set(near["group"][: len(mine)])
    same = near["group"][len(mine) :].isin(old_groups).to_numpy() | theirs["sha256"].isin(mine["sha256"]).to_numpy()
    warnings = [*found.warnings]
    if same.any():
        text = f"{int(same.sum())} hard images are also in the model's own data, or nearly so, and were left out"
        warnings.append(finding("hard-images-known", text, n=int(same.sum())))
    kept = replace(found, table=theirs[~same].reset_index(drop=True), warnings=tuple(warnings))
    if kept.table.empty:
        raise DataError(f"every image of {found.source} is in the model's own set already")
    kept = with_groups(kept, groups)
    split = _assigned(kept.table, seed)
    # Names of their own: the old set may have files and groups of the same name.
    table = kept.table
    return kept.changed(split=split, key="hard/" + table["key"], group="hard: " + table["group"]), int(same.sum())


def _assigned(table: pd.DataFrame, seed: int) -> NDArray[np.object_]:
    """(n,) a split for every image; groups stay together, in an order that the seed draws."""

    def drawn(group: str) -> str:
        return hashlib.sha256(f"{seed}\n{group}".encode()).hexdigest()

    where: dict[str, str] = {}
    for _, rows in table.groupby("label"):
        mine = [g for g in sorted(rows["group"].unique(), key=drawn) if g not in where]
        ends = np.cumsum([max(1, round(share * len(mine))) for share in SHARES.values()])
        for i, group in enumerate(mine):
            where[group] = [*SHARES, "train"][int(np.searchsorted(ends, i, side="right"))]
    for label, rows in table.groupby("label"):
        if len({where[group] for group in rows["group"]}) <= len(SHARES):
            raise DataError(
                f"class {label!r} has {rows['group'].nunique()} independent groups of hard images; that is too few "
                "for each split to have one (`groups` says what a group is; image: each by itself)"
            )
    return table["group"].map(where).to_numpy(object)
