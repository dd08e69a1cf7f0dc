"""Which files a folder or a manifest names, with their labels and official splits. Nothing is opened here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

import pandas as pd

from facevalue.data.manifest import SPLITS, read_table
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import CARD
from facevalue.evidence.findings import Finding, finding
from facevalue.images.decoding import SUFFIXES
from facevalue.support.files import as_text

_NAMED = 3  # files or folders that a finding names at most

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "calibration": "calibration",
    "test": "test",
}


@dataclass(frozen=True)
class Listed:
    """One file by name: its path, its key relative to the root, its label, its official split, and given columns."""

    path: Path
    key: str
    label: str
    split: str = ""
    parent: str = ""
    extra: tuple[tuple[str, str], ...] = ()


def list_files(source: Path, loose: bool = False) -> list[Listed]:
    """Every image file of one folder per class, a folder of splits, or a manifest, sorted by key.

    Hidden files and files whose ending is not an image's are passed over.

    Parameters
    ----------
    loose : where no sub-folder holds images, take those in ``source`` itself, with ``""`` for a label.

    Raises
    ------
    UsageError
        ``source`` is not there, or is a file of another kind.
    DataError
        It holds no class folder with images.
    """
    if source.is_file():
        return _from_manifest(source)
    if not source.is_dir():
        raise UsageError(f"{source} is not there; give a folder with one sub-folder per class, or a manifest")
    folders = _sub_folders(source)
    splits = {f.name: SPLIT_FOLDERS[f.name.lower()] for f in folders if f.name.lower() in SPLIT_FOLDERS}
    odd = [f.name for f in folders if f.name not in splits and any(_images_below(f))]
    # A class may be called «test»: splits are official where train/ stands beside another, or where there is nothing
    # but splits and each image lies in a folder within.
    several = "train" in splits.values() and len(set(splits.values())) > 1
    official = several or (not odd and all(_only_nested(f) for f in folders if f.name in splits))
    if official and odd:
        raise DataError(f"{source} mixes splits ({', '.join(splits)}) with other folders ({', '.join(odd[:3])})")
    found: list[Listed] = []
    for folder in folders:
        if official and folder.name in splits:
            for label in _sub_folders(folder):
                found.extend(_from_class(source, label, splits[folder.name]))
        else:
            found.extend(_from_class(source, folder, ""))
    if not found:
        lying = sorted(p for p in source.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != ".")
        if loose and lying:
            return [Listed(path, path.name, "") for path in lying]
        hint = "the images lie loose in it; put each class into a sub-folder" if lying else "no sub-folder holds any"
        raise DataError(f"{source} has no images to learn from: {hint}")
    return sorted(found, key=lambda f: f.key)


def left_aside(source: Path, listed: Sequence[Listed]) -> tuple[Finding, ...]:
    """What lies in a folder but in none of its classes: folders without an image, and images beside the folders.

    Parameters
    ----------
    source : as given to :func:`list_files`.
    listed : what that returned.
    """
    if not source.is_dir() or not any(f.label for f in listed):
        return ()
    official = any(f.split for f in listed)
    held = {PurePosixPath(f.key).parts[: 1 + official] for f in listed}
    splits = [f for f in _sub_folders(source) if f.name.lower() in SPLIT_FOLDERS] if official else []
    empty: list[str] = []
    beside: list[str] = []
    for home in splits or [source]:
        for path in sorted(home.iterdir()):
            if path.name.startswith("."):
                continue
            name = path.relative_to(source)
            if path.suffix.lower() in SUFFIXES and not path.is_dir():
                beside.append(str(name))
            # A link that leads nowhere may have been meant for a class.
            elif name.parts not in held and (path.is_dir() or path.is_symlink()) and not _passed_over(path):
                empty.append(str(name))
    told = []
    if empty:
        text = f"these folders hold no image, so they are no class: {_named(empty)}"
        told.append(finding("folder-without-image", text, n=len(empty), folders=_first(empty)))
    if beside:
        text = f"images that lie beside the class folders are left out: {_named(beside)}"
        told.append(finding("images-outside-classes", text, n=len(beside), files=_first(beside)))
    return tuple(told)


def _first(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(name) for name in names[:_NAMED])


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, _first(names)))
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _passed_over(p))


def _passed_over(folder: Path) -> bool:
    # A model folder may lie among the images it was made from; what its report shows is no class.
    return folder.name.startswith(".") or os.access(folder / CARD, os.F_OK)


def _only_nested(split: Path) -> bool:
    """Whether images lie in folders within, as classes do in a split, and none loose."""
    parents = {path.parent == split for path in _images_below(split)}
    return parents == {False}


def _images_below(folder: Path) -> Iterator[Path]:
    """Image files at any depth, links followed; a link to a folder that it lies in is cut."""

    def refuse(error: OSError) -> NoReturn:
        # Going on would train on a part of the images, and say nothing.
        raise DataError(f"{error.filename} cannot be listed: {os.strerror(error.errno or 0)}") from error

    for where, names, file_names in os.walk(folder, followlinks=True, onerror=refuse):
        names[:] = sorted(n for n in names if not _passed_over(Path(where, n)) and not _leads_back(Path(where, n)))
        for name in sorted(file_names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(where, name)


def _leads_back(folder: Path) -> bool:
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _from_class(root: Path, folder: Path, split: str) -> Iterator[Listed]:
    for path in _images_below(folder):
        inside = path.relative_to(folder)
        yield Listed(
            path=path,
            key=path.relative_to(root).as_posix(),
            label=folder.name,
            split=split,
            parent=inside.parent.as_posix() if len(inside.parts) > 1 else "",
        )


def _from_manifest(source: Path) -> list[Listed]:
    return listed_in(read_table(source), source.parent, str(source))


def listed_in(table: pd.DataFrame, base: Path, source: str) -> list[Listed]:
    """The images that a table names in its column ``path``, relative to ``base``; ``source`` is for messages.

    Raises
    ------
    DataError
        The table is empty, or a path, label or split cannot be.
    """
    table = table.astype(object).where(table.notna(), "").astype(str)  # what is missing is "", not "nan"
    found = []
    for row in table.to_dict("records"):
        path = Path(row["path"])
        path = path if path.is_absolute() else base / path
        split = SPLIT_FOLDERS.get(row.get("split", "").lower(), row.get("split", ""))
        if split not in ("", *SPLITS):
            raise DataError(f"{source}: expected split to be one of {', '.join(SPLITS)}, but got {split!r}")
        extra = tuple((str(c), v) for c, v in row.items() if c not in ("path", "label", "split", "key", "error"))
        key = Path(row["path"]).as_posix()
        found.append(Listed(path, key, row["label"], split, _below_class(path, row["label"]), extra))
    if not found:
        raise DataError(f"{source} is an empty manifest")
    impossible = [f.key for f in found if "\0" in f.key]
    if impossible:
        raise DataError(f"{source} has a path that no file can have: {impossible[0]!r}")
    if any(not f.label for f in found):
        raise DataError(f"{source} has no label for {next(f.key for f in found if not f.label)}")
    if any(f.split for f in found) and not all(f.split for f in found):
        raise DataError(
            f"{source} gives a split to some images only; {next(f.key for f in found if not f.split)} has none"
        )
    if len({f.key for f in found}) != len(found):
        raise DataError(f"{source} names a path twice")
    return sorted(found, key=lambda f: f.key)


def _below_class(path: Path, label: str) -> str:
    """The folders between the class's folder and the file, as for one folder per class; "" where there is none."""
    parts = path.parent.parts
    if label not in parts:
        return ""
    last = len(parts) - 1 - parts[::-1].index(label)
    return "/".join(parts[last + 1 :])
