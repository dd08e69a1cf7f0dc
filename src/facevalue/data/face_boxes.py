"""Looks for the faces of labelled images once, and keeps their boxes in the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.manifest import Manifest
from facevalue.errors import DataError, ImageError
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.gate_facts import GateFacts
from facevalue.faces.gate import FaceGate, Seen
from facevalue.images.face_crop import FaceBox
from facevalue.images.sources import upright
from facevalue.support import machine, progress

GATE, DETAIL, LOOKED = "face_gate", "face_detail", "face_looked"
BOX = ("face_x", "face_y", "face_width", "face_height")
PASS = "pass"
"""Value of the column ``face_gate`` for an image with a face that is answered for; else it is the reason."""


def with_faces(manifest: Manifest, gate: FaceGate | None, *splits: str) -> Manifest:
    """The manifest with the largest face of every readable image, as the gate sees it.

    The columns are ``face_gate`` (``pass``, ``no_face`` or ``gate_unsure``), ``face_detail`` (the same in words), and
    ``face_x``, ``face_y``, ``face_width``, ``face_height``. Images whose faces were looked for with the same gate
    before are not decoded again.

    Parameters
    ----------
    gate : ``None`` leaves the manifest as it is.
    splits : only the images of these splits; by default all.

    Raises
    ------
    DataError
        An image cannot be read any more.
    """
    if gate is None:
        return manifest
    table, key = manifest.table, key_of(gate.facts)
    for names, value in (((GATE, DETAIL, LOOKED), ""), (BOX, 0)):
        for name in names:  # some rows may come from a table without these columns
            old = table[name] if name in table.columns else pd.Series(value, index=table.index)
            table = table.assign(**{name: old.fillna(value)})
    wanted = table.index[(table["error"] == "") & (table[LOOKED] != key)]
    wanted = wanted[table.loc[wanted, "split"].isin(splits)] if splits else wanted
    if not len(wanted):
        return replace(manifest, table=table)
    paths = [str(path) for path in table.loc[wanted, "path"]]

    def look(path: str) -> Seen:
        try:
            return gate.look(upright(manifest.images.get(path, Path(path))))[0]
        except ImageError as error:
            raise DataError(f"{path} {error}; it could be read before") from error

    seen = list(progress.track(machine.in_order(look, paths), "looking for faces", total=len(paths)))
    table.loc[wanted, GATE] = [one.reason or PASS for one in seen]
    table.loc[wanted, DETAIL] = [one.detail or "" for one in seen]
    for i, name in enumerate(BOX):
        table.loc[wanted, name] = [0 if one.box is None else one.box[i] for one in seen]
    table.loc[wanted, LOOKED] = key
    return replace(manifest, table=table.astype(dict.fromkeys(BOX, "int64")))


def key_of(facts: GateFacts) -> str:
    """12 hexadecimal digits that change when another gate may see other faces."""
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:12]


def shows_face(rows: pd.DataFrame) -> pd.Series[bool]:
    """For each image whether it shows a face.

    Raises
    ------
    ValueError
        No faces were looked for. A program that forgets this must not go on with whole images.
    """
    if LOOKED not in rows.columns or (rows[LOOKED] == "").any():
        raise ValueError("the network takes faces, and no faces were looked for in these images: use with_faces")
    return rows[GATE] != "no_face"


def is_unsure(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) for each image whether its face is not answered for."""
    return np.asarray(rows[GATE] == "gate_unsure", bool)


def box_of(rows: pd.DataFrame, place: int) -> FaceBox:
    """The face of the image at this position."""
    x, y, width, height = rows[list(BOX)].iloc[place].to_numpy(np.int64).tolist()
    return (x, y, width, height)


def without_face(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Number of images without a face by split and class; empty if no faces were looked for."""
    rows = manifest.readable
    return {} if GATE not in rows.columns else replace(manifest, table=rows[rows[GATE] == "no_face"]).counts()


def found_in_training(manifest: Manifest) -> Iterator[Finding]:
    """What the gate says of images to train on; call it after :func:`with_faces` on images with splits.

    Raises
    ------
    DataError
        A class has no face in a split.
    """
    rows = manifest.readable
    rows = rows[rows["split"] != ""]
    missing = ~shows_face(rows)
    for (split, label), without in missing.groupby([rows["split"], rows["label"]]):
        if without.all():
            raise DataError(
                f"no face was found in any of the {len(without)} {split} images of {label}; a face gate is for classes "
                "of faces, so set `gate` to none"
            )
    if missing.any():
        by_class = missing.groupby(rows["label"]).sum()
        each = ", ".join(f"{label} {int(n)}" for label, n in by_class.items() if n)
        text = (
            f"no face was found in {int(missing.sum())} of {len(rows)} images ({each}): they are not trained on, and "
            "count as abstentions in evaluations"
        )
        yield finding("images-without-face", text, no_face=int(missing.sum()), n=len(rows))
