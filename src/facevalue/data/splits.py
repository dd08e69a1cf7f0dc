"""Leak-free splits: a group never crosses one, and the same seed gives the same split on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from facevalue.data.manifest import SPLITS, Manifest
from facevalue.errors import DataError

DEFAULT = {"validation": 0.1, "calibration": 0.1, "test": 0.2}


def with_splits(manifest: Manifest, shares: Mapping[str, float] = DEFAULT, seed: int = 0) -> Manifest:
    """Fill the column ``split``.

    A group goes where the hash of its name and the seed falls, so pictures that come later move no old ones. Official
    splits stay: where a folder brings ``train`` and only one held-out split, that one becomes ``test``; what is
    missing of validation and calibration is carved out of train, by group.

    Parameters
    ----------
    manifest : with groups.
    shares : of the pictures, for validation, calibration and test; the rest is train.
    seed : another gives another split.

    Raises
    ------
    DataError
        One class only, or a class with too few groups to be in every split.
    """
    table = manifest.table
    readable = table["error"] == ""
    _check_classes(manifest)
    split = table["split"].to_numpy(object).copy()
    given = set(split[readable]) - {""}
    warnings = [*manifest.warnings, *_contradictions(table[readable])]
    if not given:
        free, missing = readable.to_numpy(), [*shares]
    else:
        held_out = given - {"train"}
        if len(held_out) == 1:
            split[split == held_out.pop()] = "test"
        warnings.extend(_leaks(table.assign(split=split)[readable]))
        present = set(split[readable])
        missing = [s for s in ("validation", "calibration", "test") if s not in present]
        free = readable.to_numpy() & (split == "train")
    if missing:
        split[free] = _assigned(table[free], {s: shares[s] for s in missing}, seed)
    split[~readable.to_numpy()] = ""
    done = manifest.changed(split=split, warnings=warnings)
    for name in SPLITS:
        absent = [c for c in done.classes if not (done.rows(name)["label"] == c).any()]
        if absent:
            raise DataError(f"class {absent[0]!r} has no readable picture in the {name} split of {manifest.source}")
    return done


def _check_classes(manifest: Manifest) -> None:
    counts = manifest.readable["label"].value_counts()
    empty = sorted(set(manifest.table["label"]) - set(counts.index))
    if empty:
        raise DataError(f"no picture of class {empty[0]!r} in {manifest.source} can be read")
    if len(counts) < 2:
        raise DataError(f"{manifest.source} has one class only ({counts.index[0]!r}); a classifier needs at least two")


def _contradictions(table: pd.DataFrame) -> list[str]:
    labels = table.groupby("sha256")["label"].nunique()
    torn = table[table["sha256"].isin(labels.index[labels > 1])]
    if torn.empty:
        return []
    return [f"{len(torn)} files hold pictures that are in more than one class, e.g. {torn['path'].iloc[0]}"]


def _leaks(table: pd.DataFrame) -> list[str]:
    crossing = table.groupby("group")["split"].nunique()
    crossing = crossing[crossing > 1]
    if crossing.empty:
        return []
    n = int(table["group"].isin(crossing.index).sum())
    return [
        f"the given splits leak: {n} pictures in {len(crossing)} groups are on both sides, e.g. {crossing.index[0]}"
    ]


def _position(group: str, seed: int) -> float:
    """Where in [0, 1) a group falls: uniform, and the same everywhere."""
    digest = hashlib.sha256(f"{seed}\n{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _assigned(table: pd.DataFrame, shares: Mapping[str, float], seed: int) -> np.ndarray:
    names = ["train", *shares]
    ends = np.cumsum([1 - sum(shares.values()), *shares.values()])
    groups = sorted(table["group"].unique())
    position = {g: _position(g, seed) for g in groups}
    where = {g: names[min(int(np.searchsorted(ends, position[g], side="right")), len(names) - 1)] for g in groups}
    middle = dict(zip(names, ends - np.diff(ends, prepend=0) / 2, strict=True))
    for label, rows in table.groupby("label"):
        mine = sorted(rows["group"].unique(), key=position.__getitem__)
        if len(mine) < len(names):
            raise DataError(
                f"class {label!r} has {len(rows)} readable picture{'s' * (len(rows) != 1)} in {len(mine)} independent"
                f" group{'s' * (len(mine) != 1)}; at least {len(names)} are needed, one for each split"
            )
        # Few groups can leave a split empty by chance: it takes the nearest from a split that has several.
        for name in names:
            held = [where[g] for g in mine]
            if name not in held:
                spare = [g for g in mine if held.count(where[g]) > 1]
                where[min(spare, key=lambda g: abs(position[g] - middle[name]))] = name
    return table["group"].map(where).to_numpy(object)
