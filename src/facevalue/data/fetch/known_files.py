"""Download a single public file, such as the face detector, and check it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevalue.data.fetch.download import Patience, Source, download
from facevalue.data.fetch.known_sets import MIRROR
from facevalue.data.known import KnownFile
from facevalue.errors import FaceValueError, UsageError
from facevalue.support import files
from facevalue.support.html import ShownInNotebooks


@dataclass(frozen=True)
class FetchedFile(ShownInNotebooks):
    """A downloaded file: its path, what is known of it, and whether it was there already."""

    path: Path
    known: KnownFile
    source: str
    was_there: bool

    def to_dict(self) -> dict[str, Any]:
        """What ``data get --json`` writes; ``n`` is the number of files."""
        known = self.known
        facts = {"name": known.name, "title": known.title, "licence": known.licence, "home": known.home}
        checked = {"bytes": known.bytes, "sha256": known.sha256, "from": self.source}
        return {"path": str(self.path), "n": 1, "was_there": self.was_there, **facts, **checked}


def fetch_file(
    known: KnownFile, folder: Path, mirror: str = "", overwrite: bool = False, patience: Patience | None = None
) -> FetchedFile:
    """Download a file into ``folder``; does nothing if it is there with the published SHA-256.

    Parameters
    ----------
    known : the file's record.
    folder : created if it is missing.
    mirror : another place for the file, by its name: the beginning of an address, or a folder. By default
        ``$FACEVALUE_MIRROR``, else the file's own address.
    overwrite : download again even if it is there; also replaces a file with other contents.

    Raises
    ------
    UsageError
        A file of this name with other contents is there, or the mirror is neither an address nor a folder.
    FaceValueError
        The file cannot be downloaded, or has other contents than published.
    """
    path = folder / known.file
    if path.is_file() and not overwrite:
        if files.sha256(path) == known.sha256:
            return FetchedFile(path, known, "", was_there=True)
        raise UsageError(f"{path} exists and is another file; choose another `output`, or give `overwrite`")
    files.check_writable(path)
    mirror = mirror or os.environ.get(MIRROR, "")
    folder.mkdir(parents=True, exist_ok=True)
    if mirror and not mirror.startswith(("http://", "https://")):
        given = Path(mirror) / known.file
        if not given.is_file():
            raise UsageError(f"{given} does not exist; give an address, or a folder that holds {known.file}")
        got = files.sha256(given)
        if got != known.sha256:
            raise FaceValueError(f"{given} has unexpected content: expected sha256 {known.sha256}, but got {got}")
        with files.replacing_file(path) as partial:
            partial.write_bytes(given.read_bytes())
        return FetchedFile(path, known, str(given), was_there=False)
    address = f"{mirror.rstrip('/')}/{known.file}" if mirror else known.url
    try:
        download(Source(address, known.bytes, known.sha256), path, patience)
    except FaceValueError as error:
        by_hand = f"or download {known.file} yourself (see {known.home}) and give its folder as `source`"
        raise type(error)(f"{error}; {by_hand}") from error
    return FetchedFile(path, known, address, was_there=False)
