"""One image of a source, and which shard it belongs to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from facevalue.errors import UsageError
from facevalue.images.sources import ImageInput
from facevalue.support.files import as_text


@dataclass(frozen=True)
class Item:
    """An image that is not read yet.

    Attributes
    ----------
    name : the ``path`` of its row.
    key : its name inside the source, the same on every machine; it decides the shard.
    load : returns the image, or a path to it; raises :class:`~facevalue.errors.ImageError` if it cannot be read.
    in_turn : whether ``load`` must be called before the next item is asked for, as in a stream.
    """

    name: str
    key: str
    load: Callable[[], ImageInput]
    in_turn: bool = False


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``of`` parts of the same sources.

    >>> Shard.parsed("2/8")
    Shard(number=2, of=8)
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parsed(cls, text: str | None) -> Shard:
        """From ``I/N``; all images if ``text`` is ``None``.

        Raises
        ------
        UsageError
            It is not of this form, or I is not from 1 to N.
        """
        first, _, last = ("1/1" if text is None else text).partition("/")  # "" is an unset variable, not all images
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
            raise UsageError(f"Expected `shard` as I/N with I from 1 to N, such as 2/8, but got {text!r}")
        return cls(int(first), int(last))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, key: str) -> bool:
        """Whether an image is in this shard. A hash decides, so images that are added later move no others."""
        if self.of == 1:
            return True
        digest = hashlib.blake2b(as_text(key).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1

    def has_archive(self, position: int) -> bool:
        """Whether an archive is in this shard, by its position among all archives."""
        return position % self.of == self.number - 1


@dataclass
class Skipped:
    """Counts files that are no images, by the reason, with one example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, name: object, reason: str) -> None:
        """One more file or folder."""
        kind = reason.partition(" (")[0]
        self.counts[kind] += 1
        self.examples.setdefault(kind, as_text(str(name)))

    @property
    def n(self) -> int:
        """All of them."""
        return self.counts.total()

    def line(self) -> str:
        """Number, reasons and examples in one line."""
        most = self.counts.most_common(4)
        reasons = "; ".join(f"{n:,} {kind}, e.g. {self.examples[kind]!r}" for kind, n in most)
        rest = self.n - sum(n for _, n in most)
        return f"skipped {self.n:,}: {reasons}" + (f"; and {rest:,} more" if rest else "")
