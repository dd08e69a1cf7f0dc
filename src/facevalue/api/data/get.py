"""``data get``: download known public datasets and files."""

from __future__ import annotations

from pathlib import Path

from facevalue.data.fetch.known_files import FetchedFile, fetch_file
from facevalue.data.fetch.known_sets import Fetched, fetch
from facevalue.data.known import FILES, KNOWN
from facevalue.faces import model_file
from facevalue.support.registry import look_up


def get_data(
    name: str, output: Path | str | None = None, *, source: str = "", overwrite: bool = False
) -> Fetched | FetchedFile:
    """Download a known public dataset, check it and make it ready for training; or a file, such as the face detector.

    Parameters
    ----------
    name : one of :data:`facevalue.data.known.KNOWN` or :data:`facevalue.data.known.FILES`.
    output : the folder to create; by default one with the dataset's name in the working directory. For a file, the
        folder to put it in; by default the one where facevalue looks for it.
    source : address of a mirror, or a folder with the archives; by default ``$FACEVALUE_MIRROR``, else the original.
    overwrite : download again and replace what is there.

    Raises
    ------
    UsageError
        There is no such dataset, or ``output`` is something else.
    FaceValueError
        An archive cannot be downloaded, or its checksum is wrong.
    """
    if name in FILES:
        folder = model_file.default_path().parent if output is None else Path(output)
        return fetch_file(FILES[name], folder, source, overwrite)
    look_up({**KNOWN, **FILES}, name, "known set")
    return fetch(KNOWN[name], Path(name if output is None else output), source, overwrite)
