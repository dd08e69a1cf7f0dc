"""``data prepare``: leak-free splits whose files say nothing of their class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facevalue.data.prepare import Preparation, Prepared, prepare
from facevalue.errors import UsageError


def prepare_data(data: Path | str, output: Path | str, *, overwrite: bool = False, **settings: Any) -> Prepared:
    """Split images without leaks and encode every class alike, so that no file tells its class.

    Parameters
    ----------
    data : a folder with one sub-folder per class, one with ``train/`` and held-out folders, or a manifest.
    output : the folder to make: ``train/ validation/ calibration/ test``, each with one folder per class, and a manifest.
    overwrite : replace a prepared folder that is there already.
    settings : see :class:`facevalue.data.prepare.Preparation`: ``size``, ``fit``, ``format``, ``quality``, ``groups``,
        ``near``, ``shares``, ``seed``, ``leaks``, ``like``.

    Raises
    ------
    UsageError
        A path, name or setting cannot be right; or ``output`` is taken.
    DataError
        The images cannot be split.
    """
    known = Preparation.__dataclass_fields__
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise UsageError(f"prepare_data has no setting {unknown[0]!r}; it knows {', '.join(known)}")
    like = settings.get("like")
    how = Preparation(**{**settings, "like": None if like is None else Path(like)})
    return prepare(Path(data), Path(output), how, overwrite)
