"""``data get``: download known public datasets."""

from __future__ import annotations

from pathlib import Path

from facevalue.data.fetch.known_sets import Fetched, fetch
from facevalue.data.known import KNOWN
from facevalue.support.registry import look_up


def get_data(name: str, output: Path | str | None = None, *, source: str = "", overwrite: bool = False) -> Fetched:
    """Download a known public dataset, check it and make it ready for training.

    Parameters
    ----------
    name : one of :data:`facevalue.data.known.KNOWN`.
    output : the folder to create; by default one with the dataset's name in the working directory.
    source : address of a mirror, or a folder with the archives; by default ``$FACEVALUE_MIRROR``, else the original.
    overwrite : download again and replace an existing folder.

    Raises
    ------
    UsageError
        There is no such dataset, or ``output`` is something else.
    FaceValueError
        An archive cannot be downloaded, or its checksum is wrong.
    """
    return fetch(look_up(KNOWN, name, "known set"), Path(name if output is None else output), source, overwrite)
