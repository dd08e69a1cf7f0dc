"""Leak-free splits: a group never crosses one, and the same seed gives the same split on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.column_values import several_within
from facevalue.data.leaks import find_leaks, leak_findings
from facevalue.data.manifest import SPLITS, Manifest, read_table
from facevalue.data.names_alike import likeness
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.findings import Finding, finding

DEFAULT = {"validation": 0.1, "calibration": 0.1, "test": 0.2}


def with_splits(
    manifest: Manifest,
    shares: Mapping[str, float] = DEFAULT,
    seed: int = 0,
    known: Mapping[str, str] | None = None,
) -> Manifest:
    """Fill the column ``split``.

    The hash of a group's name and the seed decides its split. File order, random state and other groups do not matter,
    so new images do not move old ones. There are two exceptions: a class with too few groups for every split, where the
    nearest group fills an empty split, and a near-duplicate that renames the group it joins. ``known`` prevents both.

    Official splits stay. If a folder has ``train`` and only one held-out split, that one becomes ``test``. Missing
    validation and calibration splits are taken from train, by group. A group in several official splits is a warning.

    Parameters
    ----------
    manifest : with groups.
    shares : of the images, for validation, calibration and test; the rest is train.
    seed : another seed gives another split.
    known : the splits of images in an earlier manifest, by SHA-256 of the file. These images stay in their splits, and
        new images of the same group join them. A new image whose group has images in several splits would leak; it is
        in no split (``""``).

    Raises
    ------
    UsageError
        ``shares`` leave nothing for train, or ``known`` is given for data with official splits.
    DataError
        There is only one class, or a class has too few groups to be in every split.
    """
    _check_shares(shares)
    _check_classes(manifest)
    table = manifest.table
    readable = (table["error"] == "").to_numpy(bool)
    rows = manifest.readable_of("path", "key", "label", "group", "sha256")
    split = np.array(pd.Categorical(table["split"]), object)  # one Python string for each split
    given = set(split[readable]) - {""}
    warnings = [*manifest.warnings, *_contradictions(rows)]
    if given:
        if known:
            raise UsageError(f"{manifest.source} already has splits, which stay; leave out the earlier manifest")
        held_out = given - {"train"}
        if len(held_out) == 1:
            split[split == held_out.pop()] = "test"
        warnings.extend(leak_findings(find_leaks(rows.assign(split=split[readable]))))
        present = set(split[readable])
        missing = [s for s in SPLITS[1:] if s not in present]
        if missing:
            free = readable & (split == "train")
            split[free] = _assigned(rows[free[readable]], {s: shares[s] for s in missing}, seed, {})
    else:
        known = known or {}
        fixed, divided = _known_groups(rows, known) if known else ({}, set())
        split[readable] = _assigned(rows, shares, seed, fixed)
        if divided:
            before = _before(table, known)
            between = readable & table["group"].isin(divided).to_numpy()
            split[between] = before[between]
            if newcomers := int((between & (before == "")).sum()):
                first = table["key"][between & (before == "")].iloc[0]
                warnings.append(
                    finding(
                        "new-images-between-splits",
                        f"{newcomers} new images were left out, because each belongs to a group with images in several"
                        f" splits, e.g. {first}",
                        n=newcomers,
                        example=str(first),
                    )
                )
    split[~readable] = ""
    done = manifest.changed(split=split, warnings=warnings)
    classes, counts = done.classes, done.counts()
    for name in SPLITS:
        absent = [c for c in classes if c not in counts.get(name, {})]
        if absent:
            alike = [c for c in classes if c != absent[0] and likeness(c) == likeness(absent[0])]
            hint = f"; {alike[0]!r} looks like the same class: give both the same name" if alike else ""
            raise DataError(f"class {absent[0]!r} has no readable image in the {name} split of {manifest.source}{hint}")
    return done


def known_splits(earlier: Path) -> dict[str, str]:
    """The split of every image in an earlier manifest, or in the folder that holds one, by SHA-256 of the file.

    In a prepared folder, the SHA-256 is that of the original file.

    Raises
    ------
    UsageError
        There is no manifest, or it lacks splits or SHA-256.
    """
    path = earlier / MANIFEST if earlier.is_dir() else earlier
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give an earlier manifest, or a folder that holds {MANIFEST}")
    table = read_table(path)
    column = next((c for c in ("origin_sha256", "sha256") if c in table.columns), None)
    if column is None or "split" not in table.columns:
        raise UsageError(f"{path} needs the columns split and sha256")
    unknown = sorted(set(table["split"]) - {"", *SPLITS})
    if unknown:
        raise UsageError(f"{path}: expected split to be one of {', '.join(SPLITS)}, but got {unknown[0]!r}")
    return {str(s): str(split) for s, split in zip(table[column], table["split"], strict=True) if s and split}


def origins(source: Path) -> dict[str, str]:
    """For a prepared folder or its manifest: from the SHA-256 of each image to that of its original file.

    Empty if ``source`` is not a prepared folder.
    """
    path = source / MANIFEST if source.is_dir() else source
    if path.name != MANIFEST or not path.is_file():
        return {}
    table = read_table(path)
    if not {"sha256", "origin_sha256"} <= set(table.columns):
        return {}
    return dict(zip(table["sha256"], table["origin_sha256"], strict=True))


def _check_shares(shares: Mapping[str, float]) -> None:
    if any(not 0 < share < 1 for share in shares.values()) or sum(shares.values()) >= 1:
        given = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UsageError(f"Expected `shares` between 0 and 1 with a sum below 1, but got {given}")


def _check_classes(manifest: Manifest) -> None:
    counts = manifest.readable_of("label")["label"].value_counts()
    empty = sorted(set(manifest.table["label"]) - set(counts.index))
    if empty:
        raise DataError(f"no image of class {empty[0]!r} in {manifest.source} can be read")
    if len(counts) < 2:
        raise DataError(f"{manifest.source} has only one class ({counts.index[0]!r}); a classifier needs at least two")


def _contradictions(table: pd.DataFrame) -> list[Finding]:
    contradictory = table["path"][several_within(table["sha256"], table["label"])]
    if contradictory.empty:
        return []
    n, example = len(contradictory), str(contradictory.iloc[0])
    text = f"{n} files are copies of an image in another class, e.g. {example}"
    return [finding("contradictory-labels", text, n=n, example=example)]


def _before(table: pd.DataFrame, known: Mapping[str, str]) -> NDArray[np.object_]:
    """The earlier split of each image, "" for a new one."""
    return np.array([known.get(sha256, "") for sha256 in table["sha256"]], dtype=object)


def _known_groups(table: pd.DataFrame, known: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """The split of every group with known images, and the groups whose known images are in several splits."""
    splits = pd.Series(_before(table, known), index=table.index)
    of_group = splits[splits != ""].groupby(table["group"]).agg(["first", "nunique"])
    fixed = {str(group): str(split) for group, split in of_group["first"].items()}
    return fixed, {str(group) for group in of_group.index[of_group["nunique"] > 1]}


def _position(group: str, seed: int) -> float:
    """A group's position in [0, 1): uniformly distributed, and the same on every machine."""
    digest = hashlib.sha256(f"{seed}\n{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _assigned(
    table: pd.DataFrame, shares: Mapping[str, float], seed: int, fixed: Mapping[str, str]
) -> NDArray[np.object_]:
    """The split of every row: fixed for its group, else by the group's position, else a split that lacks groups."""
    names = ["train", *shares]
    ends = np.cumsum([1 - sum(shares.values()), *shares.values()])
    middle = ends - np.diff(ends, prepend=0) / 2
    # As numbers: a table may have a million groups.
    group, groups = pd.factorize(table["group"])
    label, labels = pd.factorize(table["label"])
    position = np.fromiter((_position(str(name), seed) for name in groups), float, len(groups))
    where = np.minimum(np.searchsorted(ends, position, side="right"), len(names) - 1)
    known = groups.isin([*fixed]) if fixed else np.zeros(len(groups), bool)
    where[known] = [names.index(fixed[str(name)]) for name in groups[known]]
    pairs = np.unique(np.stack([group, label]), axis=1)
    held = np.zeros((len(labels), len(names)), np.int64)
    np.add.at(held, (pairs[1], where[pairs[0]]), 1)
    for c in np.argsort(labels.to_numpy(object)):
        mine = pairs[0][pairs[1] == c]
        if len(mine) < len(names):
            rows = int((label == c).sum())
            advice = (
                "; for more groups, set `groups` to image, or a smaller radius of near-duplicates (split.near)"
                if rows >= len(names)
                else ""
            )
            raise DataError(
                f"class {labels[c]!r} has {rows} readable image{'s' * (rows != 1)} in {len(mine)} independent"
                f" group{'s' * (len(mine) != 1)}; at least {len(names)} are needed, one for each split{advice}"
            )
        # With few groups a split can be empty by chance. It takes the nearest group that leaves no other split empty,
        # from train if possible, so that held-out images stay held out.
        for split in np.flatnonzero(held[c] == 0):
            free = [g for g in mine[np.argsort(position[mine], kind="stable")] if not known[g]]
            classes_of = {g: pairs[1][slice(*np.searchsorted(pairs[0], [g, g + 1]))] for g in free}
            spare = [g for g in free if (held[classes_of[g], where[g]] > 1).all()]
            if not spare:
                continue  # no group can move; the caller raises an error that names class and split
            moved = min(spare, key=lambda g: (where[g] != 0, abs(position[g] - middle[split])))
            held[classes_of[moved], where[moved]] -= 1
            held[classes_of[moved], split] += 1
            where[moved] = split
    found: NDArray[np.object_] = np.array(names, dtype=object)[where[group]]
    return found
