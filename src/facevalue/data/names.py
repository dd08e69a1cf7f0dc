"""Where a prepared image lies: a name for its class, its group and itself that any file system can hold."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from facevalue.errors import DataError
from facevalue.images.walker import is_hidden
from facevalue.support import names as file_names

_LONGEST = 120  # bytes of a name; file systems end at 255
_ODD = re.compile(r"[^\w.()+,=@ -]+")


def class_folder(label: str) -> str:
    """The folder of a class: its label, which has to be one as it stands, for a model learns the folder's name.

    A prepared folder is handed on, so the name has to be one that Windows and macOS can hold too.

    >>> class_folder("AI face")
    'AI face'

    Raises
    ------
    DataError
        The label cannot be a folder, or a folder of that name is passed over.
    """
    if not label or "/" in label or "\0" in label or is_hidden(label) or len(label.encode()) > _LONGEST:
        raise DataError(f"class {label!r} cannot be the name of a folder; rename it")
    if fault := file_names.fault(label):
        raise DataError(f"class {label!r} cannot be the name of a folder on every system, for it {fault}; rename it")
    return label


def class_folders(labels: Sequence[str]) -> None:
    """Ask that every class can be a folder of its own.

    Raises
    ------
    DataError
        As :func:`class_folder`; or two labels differ in upper and lower case only, which Windows and macOS do not
        tell apart: the images of both would land in one folder.
    """
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(file_names.folded(class_folder(label)), label)
        if other != label:
            raise DataError(f"classes {other!r} and {label!r} are one folder on Windows and macOS; rename one")


def tidy(name: str) -> str:
    """``name`` as a file or folder may be called everywhere; one that had to change ends in a digest of the old.

    >>> tidy("Ann_Smith"), tidy("Bob/trip"), tidy("nul")
    ('Ann_Smith', 'Bob-trip-848182da', 'nul-99e62427')
    """
    plain = _ODD.sub("-", name).strip(" .-")
    while len(plain.encode()) > _LONGEST:
        plain = plain[:-1]
    if plain == name and not file_names.fault(plain):
        return plain
    changed = f"{plain}-{_digest(name)}".strip("-")
    return f"_{changed}" if file_names.fault(changed) else changed


def placed(rows: Sequence[tuple[str, str, str, str]], suffix: str) -> list[str]:
    """A path for each image of (split, label, group or "", key), relative, with forward slashes, none twice.

    A group's images lie in a folder of their own below the class, as people do in *Labeled Faces in the Wild*, so
    that whoever reads the folder finds the groups again. A name that two images of one folder would share, also where
    upper and lower case are one, ends in a digest of the image's key, for both.

    >>> placed([("train", "a", "", "a/x/1.jpg"), ("train", "a", "", "a/y/1.png"), ("test", "b", "Ann", "b/2")], ".png")
    ['train/a/1-93bdcbff.png', 'train/a/1-dec0b33f.png', 'test/b/Ann/2.png']
    """
    folders = [
        "/".join(filter(None, (split, class_folder(label), group and tidy(group)))) for split, label, group, _ in rows
    ]
    names = [tidy(PurePosixPath(key).stem) for *_, key in rows]
    often = Counter(file_names.folded(f"{folder}/{name}") for folder, name in zip(folders, names, strict=True))
    found = [
        f"{folder}/{name}" + (f"-{_digest(key)}" if often[file_names.folded(f"{folder}/{name}")] > 1 else "") + suffix
        for folder, name, (*_, key) in zip(folders, names, rows, strict=True)
    ]
    if len({file_names.folded(path) for path in found}) != len(found):  # a name that ends as another's digest does
        found = [f"{f}/{n}-{_digest(key, 64)}{suffix}" for f, n, (*_, key) in zip(folders, names, rows, strict=True)]
    return found


def _digest(text: str, length: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
