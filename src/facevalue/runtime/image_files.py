"""List the image files of a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from facevalue.evidence.findings import finding, say
from facevalue.images.walker import PassedOver, Walker


def count(paths: Iterable[Path]) -> int:
    """The number of files that :func:`expand` yields for all paths; for progress displays.

    >>> count([Path("no-such-file.png")])
    1
    """
    return sum(sum(1 for _ in Walker(path, PassedOver().add).images()) if path.is_dir() else 1 for path in paths)


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
