"""Choose the images of a hard set that are new to a model, and split them."""

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
from facevalue.support import progress

SHARES = {"validation": 0.15, "calibration": 0.15, "test": 0.3}
"""Shares of the hard images. The test share is larger than usual, because hard sets are small."""


def hard_manifest(
    found: Manifest, known: Manifest, classes: tuple[str, ...], groups: str | None, seed: int
) -> tuple[Manifest, int]:
    """The hard images with groups and splits, and the number that were left out.

    Images that the model's own data already has, as the same file or a near-duplicate, are left out: otherwise old test
    images could be trained on, or old training images tested.

    Raises
    ------
    DataError
        There is a class that the model does not know, or a class has too few groups for four splits.
    """
    unknown = sorted(set(found.readable["label"]) - set(classes))
    if unknown:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classes)}; "
            f"{found.source} has {', '.join(found.classes)}; name them for the model with `classes`"
        )
    mine, theirs = known.readable, found.readable
    joint = pd.concat([mine.assign(key="old/" + mine["key"]), theirs.assign(key="hard/" + theirs["key"])])
    with progress.within("old and hard images"):
        near = with_groups(Manifest(joint.reset_index(drop=True), found.source), "image").table
    old_groups = set(near["group"][: len(mine)])
    same = near["group"][len(mine) :].isin(old_groups).to_numpy() | theirs["sha256"].isin(mine["sha256"]).to_numpy()
    warnings = [*found.warnings]
    if same.any():
        text = f"{int(same.sum())} hard images were left out: the model's own data has them or near-duplicates of them"
        warnings.append(finding("hard-images-known", text, n=int(same.sum())))
    new = replace(found, table=theirs[~same].reset_index(drop=True), warnings=tuple(warnings))
    if new.table.empty:
        raise DataError(f"every image of {found.source} is already in the model's own data; give new images")
    new = with_groups(new, groups)
    split = _assigned(new.table, seed)
    # With a prefix, because the old set may have files and groups of the same name.
    table = new.table
    return new.changed(split=split, key="hard/" + table["key"], group="hard: " + table["group"]), int(same.sum())


def _assigned(table: pd.DataFrame, seed: int) -> NDArray[np.object_]:
    """(n,) a split for every image; groups stay together; the seed decides their order."""

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
                f"class {label!r} has only {rows['group'].nunique()} independent groups of hard images, too few for "
                f"{len(SHARES) + 1} splits; give more images, or set `groups` to image, so that each image is a group"
            )
    return table["group"].map(where).to_numpy(object)
