"""List the files of a folder or a manifest, with labels and official splits. No image is decoded here."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NoReturn

import pandas as pd

from facevalue.data import names_alike
from facevalue.data.manifest import SPLITS, read_table
from facevalue.data.split_names import is_filler, is_unlabelled, split_of
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, finding
from facevalue.images.walker import PassedOver, Walker
from facevalue.support.files import as_text

_NAMED = 3  # most files or folders that a finding names
_ALIKE = 0.8  # folders are parallel if they have at least this share of their sub-folder names in common
_NUMBERED = re.compile(r"([^\d]*)\d[\d\W_]*")
_BESIDE = "lies beside the class folders"

Parts = tuple[str, ...]
"""A path below the root, in its parts."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A listed file: path, key relative to the root, label, official split, folders below the class, other columns.

    There may be millions, so the path is text: an object for it takes five times the memory.
    """

    path: str
    key: str
    label: str
    split: str = ""
    parent: str = ""
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Listing:
    """The files of a folder or a manifest.

    Attributes
    ----------
    files : sorted by key.
    ignored : path and reason of everything that was skipped.
    warnings : about files and folders that may be missing or misnamed.
    notes : about guesses, such as which folders are splits.
    """

    files: tuple[Listed, ...]
    ignored: tuple[dict[str, str], ...] = ()
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """Which parts of a path name the split and the label."""

    split: int | None  # position of the split in the path; None if there are no splits
    label: int  # position of the label in the path
    below: Mapping[str, int]  # by top folder: number of path parts above the files of a class

    def file(self, path: str, parts: Parts) -> Listed | None:
        start = self.below.get(parts[0], 1 + max(self.label, self.split or 0))
        if len(parts) <= start:
            return None
        inside = parts[start:-1]
        return Listed(
            path=path,
            key="/".join(parts),
            label=parts[start - 1] if self.split == 0 else parts[self.label],
            split="" if self.split is None else split_of(parts[self.split]) or "",
            parent=sys.intern("/".join(inside)),  # the same for many files
        )


def list_files(
    source: Path, loose: bool = False, *, classes: Collection[str] = (), nested_groups: bool = False
) -> Listing:
    """All image files of a class folder tree, a folder of splits, or a manifest, sorted by key.

    :mod:`facevalue.images.walker` decides what is an image. Folders with the usual names of splits are splits if the
    rest of the layout agrees. Class names that look the same are one class (:mod:`facevalue.data.names_alike`).

    Parameters
    ----------
    loose : if no sub-folder holds images, take those in ``source`` itself, with the label ``""``.
    classes : known labels. Folders with these names are classes.
    nested_groups : True if folders below the top folders are known to be groups, not classes.

    Raises
    ------
    UsageError
        ``source`` does not exist, or is not a folder or manifest.
    DataError
        It holds no class folder with images, or it is not clear which folders are the classes.
    """
    if source.is_file():
        return _from_manifest(source)
    if not source.is_dir():
        raise UsageError(f"{source} does not exist; give a folder with one sub-folder per class, or a manifest")
    ignored = PassedOver()
    walker = Walker(source, ignored.add, _refuse)
    depth = len(source.parts)
    found = [path.parts[depth:] for path in walker.images()]
    tops = {parts[0] for parts in found if len(parts) > 1}
    unlabelled = _unlabelled(tops)
    for name in sorted(unlabelled):
        n = sum(parts[0] == name for parts in found)
        ignored.add(source / name, f"its images have no label ({n} file{'s' * (n != 1)})")
    found = [parts for parts in found if parts[0] not in unlabelled] if unlabelled else found
    sure = nested_groups or (bool(classes) and {names_alike.label_of(top) for top in tops} <= set(classes))
    layout = _layout(source, found, sure) if tops else None
    files, beside = [], list[Path]()
    for parts in found:
        path = source.joinpath(*parts)
        file = None if layout is None else layout.file(str(path), parts)
        if file is None:
            beside.append(path)
        else:
            files.append(file)
    del found
    if not files:
        if loose and beside:
            return Listing(tuple(Listed(str(path), path.name, "") for path in beside), tuple(ignored.to_list()))
        hint = (
            "its images are in no class folder; put each class into a sub-folder"
            if beside
            else "no sub-folder holds any"
        )
        skipped = ignored.line()
        raise DataError(f"{source} has no labelled images: {hint}" + (f"; {skipped}" if skipped else ""))
    for path in beside:
        ignored.add(path, _BESIDE)
    labels = names_alike.joined(f.label for f in files)
    return Listing(
        files=tuple(sorted((_labelled(f, labels[f.label]) for f in files), key=lambda f: f.key)),
        ignored=tuple(ignored.to_list()),
        warnings=(
            *_left_out_findings(source, walker, files, layout, beside, ignored),
            *names_alike.name_findings(labels),
        ),
        notes=_split_notes(files, layout),
    )


def _labelled(file: Listed, label: str) -> Listed:
    return file if file.label == label else replace(file, label=label)


def _refuse(folder: Path, error: OSError) -> NoReturn:
    # Going on would silently train on a part of the images.
    raise DataError(f"{folder} cannot be listed: {os.strerror(error.errno or 0)}") from error


def _unlabelled(tops: Collection[str]) -> set[str]:
    """Folders of unlabelled images beside splits."""
    return {top for top in tops if is_unlabelled(top)} if any(map(split_of, tops)) else set()


def _layout(source: Path, found: Sequence[Parts], sure: bool) -> _Layout:
    """Which folders are splits and which are classes; raises :class:`DataError` if that is not clear."""
    tops: dict[str, list[Parts]] = {}
    for parts in found:
        if len(parts) > 1:
            tops.setdefault(parts[0], []).append(parts)
    nested = {top: all(len(parts) > 2 for parts in of_top) for top, of_top in tops.items()}
    splits = {top: split for top in tops if (split := split_of(top)) is not None}
    others = [top for top in tops if top not in splits]
    # A class may be called "test". So folders are splits only if train/ and another split exist, or if all folders have
    # names of splits and every image lies in a folder inside them.
    several = "train" in splits.values() and len(set(splits.values())) > 1
    if several or (splits and not others and all(nested.values())):
        if others:
            raise DataError(
                f"{source} mixes splits ({', '.join(splits)}) with other folders ({', '.join(others[:3])}); move those "
                "elsewhere, or name each train, validation, calibration or test"
            )
        if not any(len(parts) > 2 for parts in found):
            raise DataError(
                f"{source} has folders named like splits ({', '.join(splits)}), but no class folders in them; put each "
                "class into a sub-folder of each split, or rename the folders if they are the classes"
            )
        return _Layout(split=0, label=1, below={top: _first_below(of_top) for top, of_top in tops.items()})
    if splits and not others and len(tops) > 1 and not sure:
        raise DataError(
            f"{source}: {', '.join(splits)} are named like splits, but hold images outside class folders; put each "
            "class into a sub-folder of each split, or rename the folders if they are the classes"
        )
    if all(nested.values()) and not sure:
        inside = {top: {parts[1] for parts in of_top} for top, of_top in tops.items()}
        below = {split_of(name) for names in inside.values() for name in names}
        if None not in below and "train" in below and len(below) > 1:
            return _Layout(split=1, label=0, below={})
        _refuse_parallel(source, inside)
    return _Layout(split=None, label=0, below={})


def _first_below(of_split: Sequence[Parts]) -> int:
    """Number of path parts above the files of a class: 2, or more for nested folders such as ``train/train/cats``."""
    depth = 2
    while True:
        names = {parts[depth - 1] for parts in of_split}
        deeper = {parts[depth] for parts in of_split if len(parts) > depth + 1}
        name = min(names)
        again = split_of(name) is not None and split_of(name) == split_of(of_split[0][0])
        if len(names) > 1 or not all(len(parts) > depth + 1 for parts in of_split):
            return depth
        if not again and not (is_filler(name) and len(deeper) > 1):
            return depth
        depth += 1


def _refuse_parallel(source: Path, inside: Mapping[str, set[str]]) -> None:
    """Raise if all folders hold the same sub-folders: either level could be the classes."""
    sets = [{names_alike.label_of(name) for name in names} for names in inside.values()]
    common, everything = set.intersection(*sets), set.union(*sets)
    if len(sets) < 2 or len(common) < 2 or len(common) < _ALIKE * len(everything):
        return
    if _numbered(common) and not _numbered(inside):
        return  # a class cut into numbered parts
    tops, subs = _named(sorted(inside), str), _named(sorted(common), str)
    raise DataError(
        f"{source}: all folders ({tops}) hold the same sub-folders ({subs}), so either could be the classes. If {tops} "
        "are splits, name them train, validation, calibration or test. If they are the classes, say what the "
        "sub-folders are with `groups`: parent keeps the images of each together, image takes each by itself"
    )


def _numbered(names: Collection[str]) -> bool:
    """Whether names differ only in a number, such as ``part1`` and ``part2``."""
    stems = {match.group(1).strip("-_ ").casefold() if (match := _NUMBERED.fullmatch(name)) else None for name in names}
    return len(stems) == 1 and None not in stems


def _split_notes(files: Sequence[Listed], layout: _Layout | None) -> tuple[Finding, ...]:
    """A note on which folders are used as splits, unless their names are exactly those of the splits."""
    if layout is None or layout.split is None:
        return ()
    splits = {PurePosixPath(f.key).parts[layout.split]: f.split for f in files}
    if layout.split == 0 and all(name.lower() == split for name, split in splits.items()):
        return ()
    where = "folders used as splits" if layout.split == 0 else "folders used as splits, in each class folder"
    text = f"{where}: " + ", ".join(f"{as_text(name)!r} ({split})" for name, split in sorted(splits.items()))
    return (finding("taken-for-splits", text, folders=_first(sorted(splits))),)


def _left_out_findings(
    source: Path,
    walker: Walker,
    files: Sequence[Listed],
    layout: _Layout | None,
    beside: Sequence[Path],
    ignored: PassedOver,
) -> tuple[Finding, ...]:
    """Findings about folders without images, and about images outside the class folders."""
    deep = 2 if layout is not None and layout.split == 0 else 1
    held = {PurePosixPath(f.key).parts[:deep] for f in files}
    splits = {parts[0] for parts in held} if deep == 2 else None
    links = [path for path, reason in ignored.found if reason.startswith("is a link")]
    below = [path.relative_to(source).parts for path in (*walker.entered, *links)]
    empty = {parts for parts in below if len(parts) == deep and parts not in held}
    names = sorted("/".join(parts) for parts in empty if splits is None or parts[0] in splits)
    findings = []
    if names:
        text = f"these folders hold no image, so they are not classes: {_named(names)}"
        findings.append(finding("folder-without-image", text, n=len(names), folders=_first(names)))
    if beside:
        lying = sorted(path.relative_to(source).as_posix() for path in beside)
        text = f"images outside the class folders are left out: {_named(lying)}"
        findings.append(finding("images-outside-classes", text, n=len(beside), files=_first(lying)))
    return tuple(findings)


def _first(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(as_text(name) for name in names[:_NAMED])


def _named(names: Sequence[str], show: Callable[[str], str] = repr) -> str:
    return ", ".join(map(show, _first(names))) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _from_manifest(source: Path) -> Listing:
    return listed_in(read_table(source), source.parent, str(source))


def listed_in(table: pd.DataFrame, base: Path, source: str) -> Listing:
    """The images in the column ``path`` of a table, relative to ``base``; ``source`` is its name in messages.

    Raises
    ------
    DataError
        The table is empty, or a path, label or split is not valid.
    """
    table = table.astype(object).where(table.notna(), "").astype(str)  # missing values become "", not "nan"
    found = []
    for row in table.to_dict("records"):
        path = _as_on_disk(base, row["path"])
        given = row.get("split", "").strip()
        split = split_of(given) or given
        if split not in ("", *SPLITS):
            raise DataError(f"{source}: expected split to be one of {', '.join(SPLITS)}, but got {split!r}")
        extra = tuple(
            # A space at the end does not make another group.
            (str(c), names_alike.label_of(v) if c == "group" else v)
            for c, v in row.items()
            if c not in ("path", "label", "split", "key", "error")
        )
        key = Path(row["path"]).as_posix()
        found.append(Listed(str(path), key, row["label"], split, _below_class(path, row["label"]), extra))
    if not found:
        raise DataError(f"{source} is an empty manifest")
    impossible = [f.key for f in found if "\0" in f.key]
    if impossible:
        raise DataError(f"{source} has an impossible path: {impossible[0]!r}")
    if any(not f.label.strip() for f in found):
        raise DataError(f"{source} has no label for {next(f.key for f in found if not f.label.strip())}")
    if any(f.split for f in found) and not all(f.split for f in found):
        raise DataError(
            f"{source} has a split for some images only; give one for {next(f.key for f in found if not f.split)} too"
        )
    if len({f.key for f in found}) != len(found):
        raise DataError(f"{source} lists a path twice")
    labels = names_alike.joined(f.label for f in found)
    files = sorted((_labelled(f, labels[f.label]) for f in found), key=lambda f: f.key)
    return Listing(tuple(files), warnings=tuple(names_alike.name_findings(labels)))


def _as_on_disk(folder: Path, written: str) -> Path:
    """The file of a path in a table: as written, else with the separators or Unicode form of another system."""
    path = folder / written
    plain = written.isascii() and "\\" not in written and written == written.strip()
    if plain or "\0" in written or path.exists():
        return path
    forms = [written.strip(), written.replace("\\", "/").strip()]
    forms += [unicodedata.normalize(form, text) for text in tuple(forms) for form in ("NFC", "NFD")]
    return next((folder / form for form in forms if (folder / form).exists()), path)


def _below_class(path: Path, label: str) -> str:
    """The folders between the class folder and the file; "" if there are none."""
    parts = path.parent.parts
    if label not in parts:
        return ""
    last = len(parts) - 1 - parts[::-1].index(label)
    return "/".join(parts[last + 1 :])
