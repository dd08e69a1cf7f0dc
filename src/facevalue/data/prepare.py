"""Make leak-free splits in which all files have the same format and size, so that files do not give the class away."""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
from PIL import Image

from facevalue.data.groups import NEAR, check_groups, with_groups
from facevalue.data.hashes import phash
from facevalue.data.leaks import Leak, without_leaks
from facevalue.data.manifest import COLUMNS, SPLITS, Manifest, read_table
from facevalue.data.marks_removed import marks_removed
from facevalue.data.names import class_folders, placed
from facevalue.data.scan import Data, scan
from facevalue.data.splits import DEFAULT, known_splits, with_splits
from facevalue.errors import ImageError, UsageError
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.findings import Finding, finding
from facevalue.images.preprocessing import Fit, Preprocessing
from facevalue.support import files, machine, progress, spreadsheet
from facevalue.support.formats import percent
from facevalue.support.html import ShownInNotebooks
from facevalue.support.output_folder import claimed, free_folder

Format = Literal["png", "jpeg"]
Leaks = Literal["warn", "drop", "error"]

PREPARED = "prepared.json"
LEFT_OUT = "left-out.csv"
_UNEVEN = 0.2  # difference between classes in the share of enlarged images that is worth a warning


@dataclass(frozen=True)
class Preparation:
    """How images are encoded and split.

    Attributes
    ----------
    size : side of the written images in pixels; they are square.
    fit : ``crop`` takes the central square, which hides the original shape. ``squash`` keeps the whole image and
        stretches it; ``pad`` adds bars. Both can reveal classes whose images have different shapes.
    format : ``png`` is written without compression, so all files have the same size (196 kB at 256 pixels). ``jpeg``
        files are about a tenth of that, but their sizes depend on what the images show.
    quality : of JPEG, 1 to 95; always without chroma subsampling and with the standard Huffman tables.
    groups : see :func:`facevalue.data.groups.with_groups`.
    near : images whose hashes differ in at most this many bits are near-duplicates; ``None`` joins none.
    shares, seed : see :func:`facevalue.data.splits.with_splits`.
    leaks : ``warn``, ``drop`` or ``error``, for data that already has splits; see
        :func:`facevalue.data.leaks.without_leaks`.
    like : an earlier prepared folder, model folder or manifest, whose images stay in their splits.

    Raises
    ------
    UsageError
        A setting is out of its range.
    """

    size: int = 256
    fit: Fit = "crop"
    format: Format = "png"
    quality: int = 90
    groups: str | None = None
    near: int | None = NEAR
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT))
    seed: int = 0
    leaks: Leaks = "warn"
    like: Path | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("format", self.format, ("png", "jpeg")), ("fit", self.fit, get_args(Fit))):
            if value not in known:
                raise UsageError(f"Expected `{name}` to be one of {', '.join(known)}, but got {value!r}")
        if not 1 <= self.quality <= 95:
            raise UsageError(f"Expected `quality` from 1 to 95, but got {self.quality}")
        _ = self.preprocessing  # checks the size

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image is brought to ``size``."""
        return Preprocessing(size=self.size, fit=self.fit)

    @property
    def suffix(self) -> str:
        """The suffix of every file."""
        return ".jpg" if self.format == "jpeg" else ".png"

    def encode(self, pixels: Image.Image) -> bytes:
        """The pixels as file bytes, without metadata."""
        stream = io.BytesIO()
        if self.format == "jpeg":
            pixels.save(stream, "JPEG", quality=self.quality, subsampling="4:4:4")
        else:
            pixels.save(stream, "PNG", compress_level=0)
        return stream.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"shares": dict(self.shares), "like": str(self.like) if self.like else None}


@dataclass(frozen=True)
class Prepared(ShownInNotebooks):
    """Result of :func:`prepare`.

    Attributes
    ----------
    folder : with ``train/ validation/ calibration/ test``, a manifest and a list of files that were left out.
    manifest : its images; ``path`` is relative to ``folder``.
    unreadable : path and reason of every file that cannot be read.
    left_out : path, label and reason of every file that was left out, including unreadable ones.
    leaks : across the splits of the source.
    enlarged : by class, the share of images that were smaller than ``size``.
    seconds : duration.
    """

    folder: Path
    manifest: Manifest
    unreadable: tuple[dict[str, str], ...]
    left_out: tuple[dict[str, str], ...]
    leaks: tuple[Leak, ...]
    enlarged: Mapping[str, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What ``data prepare --json`` writes."""
        table = self.manifest.table
        shared = table.groupby("group")["path"].transform("size") > 1
        return {
            "path": str(self.folder),
            "n": len(table),
            "classes": list(self.manifest.classes),
            "counts": self.manifest.counts(),
            "groups": {
                "how": self.manifest.groups,
                "count": int(table["group"].nunique()),
                "splits": {s: int(table["group"][table["split"] == s].nunique()) for s in SPLITS},
                "grouped": int(shared.sum()),
            },
            "unreadable": list(self.unreadable),
            "left_out": list(self.left_out),
            "leaks": [leak.to_dict() for leak in self.leaks],
            "enlarged": dict(self.enlarged),
            "warnings": [w.to_dict() for w in self.manifest.warnings],
            "fingerprint": self.manifest.fingerprint(),
            "seconds": self.seconds,
        }


def prepare(source: Data, output: Path, how: Preparation | None = None, overwrite: bool = False) -> Prepared:
    """Decode every image of ``source``, bring it to the same size, encode it again and write the splits to ``output``.

    All files then have the same size, shape, format, mode and tables, and no EXIF or colour profile. The content of the
    pixels stays: blur or compression artefacts of a class are still there.

    Parameters
    ----------
    source : one folder per class, a folder with splits, or a manifest.
    output : replaced as a whole, or not at all.
    how : settings; the defaults if ``None``.
    overwrite : replace an existing prepared folder.

    Raises
    ------
    UsageError
        A path or setting is not valid; ``output`` exists, or one of ``output`` and ``source`` contains the other.
    FaceValueError
        Another process is writing ``output``.
    DataError
        The images cannot be split, or there are leaks and ``how.leaks`` is ``error``.
    """
    start = time.perf_counter()
    how = how or Preparation()
    free_folder(output, PREPARED, "a prepared folder", overwrite)
    if isinstance(source, str | Path) and Path(source).is_dir():
        inside, outside = output.resolve(), Path(source).resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise UsageError(f"one of {output} and {source} contains the other; choose another `output`")
    known = known_splits(how.like) if how.like is not None else {}
    raw = scan(
        source,
        nested_groups=how.groups is not None,
        before=lambda named: check_groups(named, how.groups, how.shares if how.like is None else ()),
    )
    class_folders(raw.classes)
    with claimed(output, PREPARED, "a prepared folder", overwrite), files.replacing_folder(output) as folder:
        encoded = folder / ".encoded"
        encoded.mkdir()
        made = _encoded(raw, encoded, how)
        readable = raw.changed(error=made["error"])
        grouped = with_groups(readable, how.groups, how.near)
        # Group again by the prepared images, which a model will see; images of one group stay together.
        with progress.within("prepared images"):
            again = with_groups(grouped.changed(phash=made["phash"]), "group", how.near)
        grouped, leaks = without_leaks(grouped.changed(group=again.table["group"]), how.leaks)
        split = with_splits(grouped, how.shares, how.seed, known)
        enlarged = _enlarged(split.readable, how.size)
        table = _table(split, made, how)
        left_out = _left_out(split, how)
        for position, path in zip(table.index, table["path"], strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (encoded / str(position)).rename(folder / path)
        shutil.rmtree(encoded)
        table = table.sort_values("path", ignore_index=True)
        warnings = (
            *split.warnings,
            *_uneven(enlarged, split.readable, how.size),
            *marks_removed(split.readable),
        )
        done = Prepared(
            output,
            Manifest(table, raw.source, split.groups, warnings),
            split.unreadable,
            left_out,
            leaks,
            enlarged,
            time.perf_counter() - start,
        )
        table.drop(columns=["key", "error"]).to_parquet(folder / MANIFEST, index=False)
        _write_csv(folder / LEFT_OUT, left_out)
        facts = {"facevalue": version("facevalue"), "source": raw.source, "how": how.to_dict(), **done.to_dict()}
        files.write_json(folder / PREPARED, facts)
    return done


def _encoded(raw: Manifest, folder: Path, how: Preparation) -> pd.DataFrame:
    """Encode every readable image into a file named by its row; returns the facts of the new files."""
    rows = list(zip(raw.table.index, raw.table["path"], raw.table["error"], strict=True))
    work = machine.in_order(partial(_encode, raw, folder, how), rows)
    made = list(progress.track(work, "encoding images", total=len(rows)))
    return pd.DataFrame(made, columns=["sha256", "phash", "bytes", "error"], index=raw.table.index)


def _encode(raw: Manifest, folder: Path, how: Preparation, row: tuple[int, str, str]) -> tuple[str, str, int, str]:
    position, path, error = row
    if error:
        return "", "", 0, error
    try:
        pixels = how.preprocessing.of(raw.images.get(path, Path(path)))
    except ImageError as found:
        return "", "", 0, str(found)
    data = how.encode(Image.fromarray(pixels))
    (folder / str(position)).write_bytes(data)
    with Image.open(io.BytesIO(data)) as seen:
        look = phash(seen).tobytes().hex()
    return hashlib.sha256(data).hexdigest(), look, len(data), ""


def _table(split: Manifest, made: pd.DataFrame, how: Preparation) -> pd.DataFrame:
    """The prepared images: facts of the new files, and the original of each."""
    rows = split.readable
    rows = rows[rows["split"] != ""]
    shared = rows.groupby("group")["key"].transform("size") > 1
    folders = rows["group"].where(shared, "")
    columns = (rows[c].tolist() for c in ("split", "label"))
    now: dict[str, Any] = {
        "path": placed(list(zip(*columns, folders.tolist(), rows["key"].tolist(), strict=True)), how.suffix),
        "sha256": made["sha256"].loc[rows.index],
        "phash": made["phash"].loc[rows.index],
        "bytes": made["bytes"].loc[rows.index],
        "width": how.size,
        "height": how.size,
        "format": how.format.upper(),
        "mode": "RGB",
        "origin": rows["key"],
        "origin_sha256": rows["sha256"],
    }
    # Keep the columns of a given manifest. Columns from the scan describe the original files, so they are dropped.
    brought = () if Path(split.source).is_dir() else read_table(Path(split.source)).columns
    own = [c for c in brought if c not in COLUMNS and c not in now]
    table = rows.assign(**now)
    table["key"] = table["path"]
    return table[[*COLUMNS, "origin", "origin_sha256", *own]]


def _left_out(split: Manifest, how: Preparation) -> tuple[dict[str, str], ...]:
    table = split.table
    why = (
        "belongs to a group with earlier images in several splits"
        if how.like
        else "a later split holds the same image or group"
    )
    reason = table["error"].where(table["error"] != "", why)
    out = (table["error"] != "") | (table["split"] == "")
    columns = table.assign(reason=reason)[out][["path", "label", "reason"]]
    return tuple({str(name): str(value) for name, value in row.items()} for row in columns.to_dict("records"))


def _write_csv(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    with spreadsheet.writing(path, ["path", "label", "reason"]) as write:
        for row in rows:
            write(row)


def _enlarged(rows: pd.DataFrame, size: int) -> dict[str, float]:
    small = rows[["width", "height"]].min(axis=1) < size
    return {str(label): float(share) for label, share in small.groupby(rows["label"]).mean().items()}


def _uneven(enlarged: Mapping[str, float], rows: pd.DataFrame, size: int) -> list[Finding]:
    most, least = max(enlarged, key=enlarged.__getitem__), min(enlarged, key=enlarged.__getitem__)
    if enlarged[most] - enlarged[least] <= _UNEVEN:
        return []
    fits = int(rows[["width", "height"]].min(axis=1).groupby(rows["label"]).quantile(0.05).min())
    text = (
        f"{percent(enlarged[most], 0)} of {most} but {percent(enlarged[least], 0)} of {least} had to be enlarged "
        f"to {size} pixels, and the blur may give the class away; with `size` {fits} few images are enlarged"
    )
    return [
        finding(
            "classes-enlarged-unevenly",
            text,
            most=most,
            share_most=enlarged[most],
            least=least,
            share_least=enlarged[least],
            size=size,
            fitting_size=fits,
        )
    ]
