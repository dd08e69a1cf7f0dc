"""``data get``: known public sets of images."""

from __future__ import annotations

from pathlib import Path

from facevalue.data.fetch.known_sets import Fetched, fetch
from facevalue.data.known import KNOWN
from facevalue.support.registry import look_up


def get_data(name: str, output: Path | str | None = None, *, source: str = "", overwrite: bool = False) -> Fetched:
    """Fetch a known public set of images, checked and ready to train on.

    Parameters
    ----------
    name : one of :data:`facevalue.data.known.KNOWN`.
    output : the folder to make; by default one that is called as the set, where the process stands.
    source : a mirror's address, or a folder that holds the archives; else ``$FACEVALUE_MIRROR``, else the set's own.
    overwrite : fetch anew where it is there.

    Raises
    ------
    UsageError
        There is no such set, or something else stands at ``output``.
    FaceValueError
        An archive cannot be had, or is not what it should be.
    """
    return fetch(look_up(KNOWN, name, "known set"), Path(name if output is None else output), source, overwrite)
