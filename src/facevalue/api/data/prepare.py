"""``data prepare``: leak-free splits, with all files encoded the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facevalue.data.prepare import Format, Leaks, Preparation, Prepared, prepare
from facevalue.data.scan import Data
from facevalue.images.preprocessing import Fit


def prepare_data(
    data: Data,
    output: Path | str,
    *,
    size: int = 256,
    fit: Fit = "crop",
    format: Format = "png",  # noqa: A002 - the option's name
    quality: int = 90,
    groups: str | None = None,
    near: int | None = 32,
    shares: Mapping[str, float] | None = None,
    seed: int = 0,
    leaks: Leaks = "warn",
    like: Path | str | None = None,
    overwrite: bool = False,
) -> Prepared:
    """Split images without leaks and encode all files the same way, so that the format does not reveal the class.

    Parameters
    ----------
    data : a folder with one sub-folder per class, one with ``train/`` and held-out folders, a manifest file, a table
        with ``path`` and ``label``, or an :class:`~facevalue.ImageDataset`.
    output : the folder to create: ``train/ validation/ calibration/ test``, each with one folder per class, and a
        manifest.
    size, fit, format, quality, groups, near, shares, seed, leaks, like : see
        :class:`facevalue.data.prepare.Preparation`.
    overwrite : replace an existing prepared folder.

    Raises
    ------
    UsageError
        A path, name or setting is invalid, or ``output`` exists already.
    DataError
        The images cannot be split.
    """
    how = Preparation(
        size=size,
        fit=fit,
        format=format,
        quality=quality,
        groups=groups,
        near=near,
        seed=seed,
        leaks=leaks,
        like=None if like is None else Path(like),
        **({} if shares is None else {"shares": dict(shares)}),
    )
    return prepare(data, Path(output), how, overwrite)
