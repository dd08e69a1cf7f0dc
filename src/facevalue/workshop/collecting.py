"""Getting pictures, and getting them ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facevalue.data.fetching.fetch import Fetched, fetch
from facevalue.data.known import KNOWN
from facevalue.data.prepare import Preparation, Prepared, prepare
from facevalue.errors import UsageError


def prepare_data(data: Path | str, output: Path | str, *, overwrite: bool = False, **settings: Any) -> Prepared:
    """Split pictures without leaks and encode every class alike, so that no file tells its class.

    Parameters
    ----------
    data : a folder with one sub-folder a class, one with ``train/`` and held-out folders, or a manifest.
    output : the folder to make: ``train/ validation/ calibration/ test``, each with a folder a class, and a manifest.
    overwrite : replace a prepared folder that is there already.
    settings : see :class:`facevalue.data.prepare.Preparation`: ``size``, ``fit``, ``format``, ``quality``, ``groups``,
        ``near``, ``shares``, ``seed``, ``leaks``, ``like``.

    Raises
    ------
    UsageError
        A path, name or setting cannot be right; or ``output`` is taken.
    DataError
        The pictures cannot be split.
    """
    known = Preparation.__dataclass_fields__
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise UsageError(f"prepare_data has no setting {unknown[0]!r}; it knows {', '.join(known)}")
    like = settings.get("like")
    how = Preparation(**{**settings, "like": None if like is None else Path(like)})
    return prepare(Path(data), Path(output), how, overwrite)


def get_data(name: str, output: Path | str | None = None, *, source: str = "", overwrite: bool = False) -> Fetched:
    """Fetch a known public set of pictures, checked and ready to train on.

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
    if name not in KNOWN:
        raise UsageError(f"expected a known set, one of {', '.join(KNOWN)}, but got {name!r}")
    return fetch(KNOWN[name], Path(name if output is None else output), source, overwrite)
