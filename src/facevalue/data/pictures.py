"""Pictures with labels, ready for a network: what evaluate, attack and explain read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue import machine, pixels
from facevalue.data import square_cache
from facevalue.data.manifest import Manifest, facts, fingerprint
from facevalue.data.square_cache import SquareCache
from facevalue.errors import DataError, PictureError
from facevalue.pixels import Geometry


@dataclass(frozen=True)
class Pictures:
    """Files, labels and the geometry that makes them squares, in a fixed order.

    Attributes
    ----------
    paths : (n,) files.
    labels : (n,) int64, indices into ``classes``.
    classes : in the order of the model's logits.
    geometry : the network's.
    name : ``train``, ``test``, … or the folder's, for reports.
    source : as the user named it.
    facts : (n,) see :func:`facevalue.data.manifest.facts`.
    unreadable : what was left out, with reasons.
    cache : squares decoded before, see :meth:`cached`.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    geometry: Geometry
    name: str = "all"
    source: str = ""
    facts: tuple[str, ...] = ()
    unreadable: tuple[dict[str, str], ...] = ()
    cache: SquareCache | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over bytes, label and split of these pictures, whatever the files are called."""
        return fingerprint(self.facts)

    def batches(self, size: int = 32) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Squares (b, s, s, 3) uint8 RGB with labels (b,), in order, decoded ahead by threads.

        Threads and not processes: decoding and resampling hold no interpreter lock, and threads start at once, share
        the cache, hand their squares over without copying and end with Ctrl-C (both side by side:
        ``benchmarks/decode_speed.py``). At most four batches are decoded ahead, so memory does not grow with the number
        of pictures.
        """
        decoded = machine.in_order(self._square, range(len(self)), ahead=4 * size)
        for start in range(0, len(self), size):
            count = min(size, len(self) - start)
            yield np.stack([next(decoded) for _ in range(count)]), self.labels[start : start + count]

    def cached(self, folder: Path | None = None, limit: int | None = None) -> Pictures:
        """The same pictures, whose squares are decoded once to disk and read from there as far as there is room.

        For many passes over more than fits into memory; see :func:`facevalue.data.square_cache.cached`.
        """
        if not self.facts:
            return self
        sha256s = [fact.partition(" ")[0] for fact in self.facts]
        return replace(self, cache=square_cache.cached(sha256s, self.geometry, self._decoded, folder, limit))

    def _square(self, i: int) -> NDArray[np.uint8]:
        found = None if self.cache is None else self.cache.get(self.facts[i].partition(" ")[0])
        return self._decoded(i) if found is None else found

    def _decoded(self, i: int) -> NDArray[np.uint8]:
        path = self.paths[i]
        try:
            return self.geometry.read(pixels.read_bytes(path))
        except PictureError as error:
            raise DataError(f"{path} {error}; it could be read a moment ago") from error

    def squares(self) -> NDArray[np.uint8]:
        """All squares in memory, (n, s, s, 3) uint8."""
        side = self.geometry.size
        out = np.empty((len(self), side, side, 3), np.uint8)
        start = 0
        for squares, _ in self.batches(64):
            out[start : start + len(squares)] = squares
            start += len(squares)
        return out

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> Pictures:
        """The pictures at these positions."""
        chosen = [int(i) for i in indices]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in chosen),
            labels=self.labels[chosen],
            facts=tuple(self.facts[i] for i in chosen),
        )

    def and_also(self, *others: Pictures, name: str) -> Pictures:
        """These, then those, under one name."""
        parts = (self, *others)
        return replace(
            self,
            paths=tuple(path for part in parts for path in part.paths),
            labels=np.concatenate([part.labels for part in parts]),
            facts=tuple(fact for part in parts for fact in part.facts),
            name=name,
            source="; ".join(dict.fromkeys(part.source for part in parts)),
            unreadable=(),
            cache=None,
        )

    def some(self, n: int, seed: int = 0) -> Pictures:
        """At most ``n`` pictures, drawn evenly from the classes, in their old order."""
        if n >= len(self):
            return self
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self))
        turn = np.empty(len(self), np.int64)  # 0 for the first of its class in the shuffle, 1 for the second, …
        for c in range(len(self.classes)):
            of_class = shuffled[self.labels[shuffled] == c]
            turn[of_class] = np.arange(len(of_class))
        return self.take(np.sort(shuffled[np.argsort(turn[shuffled], kind="stable")][:n]))


def pictures(manifest: Manifest, geometry: Geometry, classes: Sequence[str], *splits: str, name: str = "") -> Pictures:
    """The readable pictures of a manifest's splits (of all where none is named), labelled by ``classes`` by name.

    Raises
    ------
    DataError
        The manifest has a class that ``classes`` lacks; the message names both lists. Or there is no picture.
    """
    rows: pd.DataFrame = manifest.rows(*splits)
    other = sorted(set(rows["label"]) - set(classes))
    if other:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classes)}; "
            f"{manifest.source} has {', '.join(manifest.classes)}"
        )
    if rows.empty:
        raise DataError(f"{manifest.source} has no readable picture" + (f" in {', '.join(splits)}" if splits else ""))
    index = {label: i for i, label in enumerate(classes)}
    return Pictures(
        paths=tuple(Path(p) for p in rows["path"]),
        labels=rows["label"].map(index).to_numpy().astype(np.int64),
        classes=tuple(classes),
        geometry=geometry,
        name=name or "+".join(splits) or Path(manifest.source).name,
        source=manifest.source,
        facts=facts(rows),
        unreadable=manifest.unreadable,
    )
