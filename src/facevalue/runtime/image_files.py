"""Which image files a path stands for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from facevalue.images.decoding import SUFFIXES


def expand(path: Path) -> Iterator[Path]:
    """The image files below a folder, sorted, hidden ones left out; any other path as it is.

    One folder's names are held at a time, so millions of files cost no memory. Links to folders are not followed
    below ``path``. A folder that cannot be listed is yielded itself, so that its reader names the reason.

    >>> [str(path) for path in expand(Path("no-such-file.png"))]
    ['no-such-file.png']
    """
    if not path.is_dir():
        yield path
        return
    try:
        with os.scandir(path) as entries:
            found = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries if not e.name.startswith("."))
    except OSError:
        yield path
        return
    for name, is_folder in found:
        if is_folder:
            yield from expand(path / name)
        elif Path(name).suffix.lower() in SUFFIXES:
            yield path / name
