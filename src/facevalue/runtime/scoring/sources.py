"""Where images come from: folders, files, manifests, archives, and addresses of all of these."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from facevalue.errors import UsageError
from facevalue.images.walker import Walker
from facevalue.runtime.scoring import archives, remote, tables
from facevalue.runtime.scoring.items import Item, Shard, Skipped
from facevalue.support.files import as_text

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Sources:
    """The images of several sources, or one shard of them, always in the same order.

    Attributes
    ----------
    given : paths and addresses.
    shard : if there are at least as many archives as shards, each archive is in one shard; else, and for all other
        sources, each image is.
    """

    given: tuple[str, ...]
    shard: Shard = field(default_factory=Shard)

    @classmethod
    def of(cls, given: Sequence[str | os.PathLike[str]], shard: Shard | None = None) -> Sources:
        """From paths and addresses; ``{000..099}`` in a name is replaced by each of these numbers.

        Raises
        ------
        UsageError
            There is none, one is standard input, or a path does not exist.
        """
        names = tuple(name for each in given for name in _numbered(os.fspath(each)))
        if not names:
            raise UsageError("there is no source of images")
        for name in names:
            if name == "-":
                raise UsageError("- is one image on standard input; it cannot be scored into a folder of parts")
            if not remote.is_address(name) and not Path(name).exists():
                raise UsageError(f"{name} does not exist")
        return cls(names, shard or Shard())

    @property
    def identity(self) -> list[str]:
        """The sources as they are compared when a run goes on: local paths are absolute."""
        return [name if remote.is_address(name) else as_text(str(Path(name).absolute())) for name in self.given]

    def items(self, skipped: Skipped | None = None) -> Iterator[Item]:
        """The images, one by one; memory does not grow with their number.

        Parameters
        ----------
        skipped : counts the files that are no images.
        """
        skipped = Skipped() if skipped is None else skipped
        packed = [name for name in self.given if archives.is_archive(name) and not Path(name).is_dir()]
        whole = len(packed) >= self.shard.of
        position = -1
        for name in self.given:
            if name in packed:
                position += 1
                if whole and not self.shard.has_archive(position):
                    continue
                everything = _every if whole else self.shard.has
                yield from archives.images(name, _opener(name), everything, skipped)
                continue
            for item in _images(name, skipped):
                if self.shard.has(item.key):
                    yield item

    def count(self) -> int | None:
        """The number of images; ``None`` if it takes reading archives or asking a storage to know it."""
        if any(remote.is_address(name) or archives.is_archive(name) for name in self.given):
            return None
        return sum(1 for _ in self.items())


def _every(_: str) -> bool:
    return True


def _numbered(name: str) -> Iterator[str]:
    found = _RANGE.search(name)
    if found is None:
        yield name
        return
    first, last = found.groups()
    if int(first) > int(last) or int(last) - int(first) > 1_000_000:
        raise UsageError(f"Expected a range from low to high in {name}")
    for number in range(int(first), int(last) + 1):
        yield from _numbered(f"{name[: found.start()]}{number:0{len(first)}d}{name[found.end() :]}")


def _opener(name: str) -> Callable[[], IO[bytes]]:
    if remote.is_address(name):
        return partial(remote.opened, name)
    return lambda: Path(name).open("rb")


def _images(name: str, skipped: Skipped) -> Iterator[Item]:
    """The images of a source that is no archive."""
    if tables.is_table(name) and not Path(name).is_dir():
        base = name.rpartition("/")[0] if remote.is_address(name) else str(Path(name).parent)
        yield from tables.items(name, _opener(name), base)
    elif remote.is_address(name):
        yield from remote.items(name, skipped)
    elif Path(name).is_dir():
        root, real = Path(name), Path(name).absolute()  # a worker elsewhere may have another current folder
        for path in Walker(root, skipped.add).images():
            key = path.relative_to(root)
            yield Item(str(path), key.as_posix(), partial(Path, real, key))
    else:
        yield Item(name, Path(name).name, partial(Path, Path(name).absolute()))
