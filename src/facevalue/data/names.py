"""File and folder names for prepared images that every file system can hold."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from facevalue.errors import DataError
from facevalue.images.walker import is_hidden
from facevalue.support import names as file_names

_LONGEST = 120  # bytes of a name; file systems allow 255
_UNSAFE = re.compile(r"[^\w.()+,=@ -]+")


def class_folder(label: str) -> str:
    """The folder name of a class: its label, unchanged, because the folder name becomes the class name of a model.

    Prepared folders are copied between systems, so the name must be valid on Windows and macOS too.

    >>> class_folder("AI face")
    'AI face'

    Raises
    ------
    DataError
        The label cannot be a folder name, or folders of that name are ignored.
    """
    if not label or "/" in label or "\0" in label or is_hidden(label) or len(label.encode()) > _LONGEST:
        raise DataError(f"class {label!r} cannot be the name of a folder; rename it")
    if fault := file_names.fault(label):
        raise DataError(f"class {label!r} cannot be a folder name on every system, because it {fault}; rename it")
    return label


def class_folders(labels: Sequence[str]) -> None:
    """Check that every class can have its own folder.

    Raises
    ------
    DataError
        As :func:`class_folder`; or two labels differ only in upper and lower case, so that Windows and macOS would
        put their images into one folder.
    """
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(file_names.folded(class_folder(label)), label)
        if other != label:
            raise DataError(
                f"classes {other!r} and {label!r} would share one folder on Windows and macOS; rename one of them"
            )


def tidy(name: str) -> str:
    """``name`` as a file or folder name that is valid everywhere; a changed name ends in a digest of the original.

    >>> tidy("Ann_Smith"), tidy("Bob/trip"), tidy("nul")
    ('Ann_Smith', 'Bob-trip-848182da', 'nul-99e62427')
    """
    plain = _UNSAFE.sub("-", name).strip(" .-")
    while len(plain.encode()) > _LONGEST:
        plain = plain[:-1]
    if plain == name and not file_names.fault(plain):
        return plain
    changed = f"{plain}-{_digest(name)}".strip("-")
    return f"_{changed}" if file_names.fault(changed) else changed


def placed(rows: Sequence[tuple[str, str, str, str]], suffix: str) -> list[str]:
    """A path for each image of (split, label, group or "", key), relative, with forward slashes, none twice.

    Each group gets a folder below its class, as each person has in *Labeled Faces in the Wild*, so that the groups can
    be read back. Where two images of one folder would get the same name, or names that differ only in case, both names
    end in a digest of the image's key.

    >>> placed([("train", "a", "", "a/x/1.jpg"), ("train", "a", "", "a/y/1.png"), ("test", "b", "Ann", "b/2")], ".png")
    ['train/a/1-93bdcbff.png', 'train/a/1-dec0b33f.png', 'test/b/Ann/2.png']
    """
    folders = [
        "/".join(filter(None, (split, class_folder(label), group and tidy(group)))) for split, label, group, _ in rows
    ]
    names = [tidy(PurePosixPath(key).stem) for *_, key in rows]
    uses = Counter(file_names.folded(f"{folder}/{name}") for folder, name in zip(folders, names, strict=True))
    found = [
        f"{folder}/{name}" + (f"-{_digest(key)}" if uses[file_names.folded(f"{folder}/{name}")] > 1 else "") + suffix
        for folder, name, (*_, key) in zip(folders, names, rows, strict=True)
    ]
    if len({file_names.folded(path) for path in found}) != len(
        found
    ):  # a name that looks like another name with its digest
        found = [f"{f}/{n}-{_digest(key, 64)}{suffix}" for f, n, (*_, key) in zip(folders, names, rows, strict=True)]
    return found


def _digest(text: str, length: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
