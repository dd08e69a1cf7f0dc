"""List the image files of a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from facevalue.evidence.findings import finding, say
from facevalue.images.walker import PassedOver, Walker


def count(paths: Iterable[Path]) -> tuple[int, int]:
    """The number of files that :func:`expand` yields for all paths, and of those that it skips.

    >>> count([Path("no-such-file.png")])
    (1, 0)
    """
    n, ignored = 0, PassedOver()
    for path in paths:
        n += sum(1 for _ in Walker(path, ignored.add).images()) if path.is_dir() else 1
    return n, len(ignored.found)


def expand(path: Path) -> Iterator[Path]:
    """The image files below a folder, sorted; any other path is yielded unchanged.

    As for training, :mod:`facevalue.images.walker` decides what is an image; skipped files are counted in a note. A
    folder that cannot be listed is yielded itself, so that its reader reports the reason.

    >>> [str(path) for path in expand(Path("no-such-file.png"))]
    ['no-such-file.png']
    """
    if not path.is_dir():
        yield path
        return
    ignored = PassedOver()
    yield from Walker(path, ignored.add).images()
    line = ignored.line()
    if line is not None:
        say([finding("files-passed-over", line, n=len(ignored.found))])
