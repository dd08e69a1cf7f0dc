"""Images with labels, ready for a network: what evaluate, attack and explain read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.manifest import Manifest, facts, fingerprint
from facevalue.errors import DataError, ImageError
from facevalue.images import decoding, input_cache
from facevalue.images.input_cache import InputCache
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import machine


@dataclass(frozen=True)
class ImageDataset:
    """Files, labels and the preprocessing that makes them network inputs, in a fixed order.

    Attributes
    ----------
    paths : (n,) files.
    labels : (n,) int64, indices into ``classes``.
    classes : in the order of the model's logits.
    preprocessing : the network's.
    name : ``train``, ``test``, … or the folder's, for reports.
    source : as the user named it.
    facts : (n,) see :func:`facevalue.data.manifest.facts`.
    unreadable : what was left out, with reasons.
    cache : network inputs decoded before, see :meth:`cached`.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    name: str = "all"
    source: str = ""
    facts: tuple[str, ...] = ()
    unreadable: tuple[dict[str, str], ...] = ()
    cache: InputCache | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over bytes, label and split of these images, whatever the files are called."""
        return fingerprint(self.facts)

    def batches(self, size: int = 32) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Network inputs (b, s, s, 3) uint8 RGB with labels (b,), in order, decoded ahead by threads.

        Threads and not processes: decoding and resampling hold no interpreter lock, and threads start at once, share
        the cache, hand their network inputs over without copying and end with Ctrl-C (both side by side:
        ``benchmarks/decode_speed.py``). At most four batches are decoded ahead, so memory does not grow with the number
        of images.
        """
        decoded = machine.in_order(self._input, range(len(self)), ahead=4 * size)
        for start in range(0, len(self), size):
            count = min(size, len(self) - start)
            yield np.stack([next(decoded) for _ in range(count)]), self.labels[start : start + count]

    def cached(self, folder: Path | None = None, limit: int | None = None) -> ImageDataset:
        """The same images, whose network inputs are decoded once to disk and read from there as far as there is room.

        For many passes over more than fits into memory; see :func:`facevalue.images.input_cache.cached`.
        """
        if not self.facts:
            return self
        sha256s = [fact.partition(" ")[0] for fact in self.facts]
        return replace(self, cache=input_cache.cached(sha256s, self.preprocessing, self._decoded, folder, limit))

    def _input(self, i: int) -> NDArray[np.uint8]:
        found = None if self.cache is None else self.cache.get(self.facts[i].partition(" ")[0])
        return self._decoded(i) if found is None else found

    def _decoded(self, i: int) -> NDArray[np.uint8]:
        path = self.paths[i]
        try:
            return self.preprocessing.read(decoding.read_bytes(path))
        except ImageError as error:
            raise DataError(f"{path} {error}; it could be read a moment ago") from error

    def pixels(self) -> NDArray[np.uint8]:
        """All network inputs in memory, (n, s, s, 3) uint8."""
        side = self.preprocessing.size
        out = np.empty((len(self), side, side, 3), np.uint8)
        start = 0
        for pixels, _ in self.batches(64):
            out[start : start + len(pixels)] = pixels
            start += len(pixels)
        return out

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> ImageDataset:
        """The images at these positions."""
        chosen = [int(i) for i in indices]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in chosen),
            labels=self.labels[chosen],
            facts=tuple(self.facts[i] for i in chosen),
        )

    def and_also(self, *others: ImageDataset, name: str) -> ImageDataset:
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

    def some(self, n: int, seed: int = 0) -> ImageDataset:
        """At most ``n`` images, drawn evenly from the classes, in their old order."""
        if n >= len(self):
            return self
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self))
        turn = np.empty(len(self), np.int64)  # 0 for the first of its class in the shuffle, 1 for the second, …
        for c in range(len(self.classes)):
            of_class = shuffled[self.labels[shuffled] == c]
            turn[of_class] = np.arange(len(of_class))
        return self.take(np.sort(shuffled[np.argsort(turn[shuffled], kind="stable")][:n]))


def dataset_of(
    manifest: Manifest, preprocessing: Preprocessing, classes: Sequence[str], *splits: str, name: str = ""
) -> ImageDataset:
    """The readable images of a manifest's splits (of all where none is named), labelled by ``classes`` by name.

    Raises
    ------
    DataError
        The manifest has a class that ``classes`` lacks; the message names both lists. Or there is no image.
    """
    rows: pd.DataFrame = manifest.rows(*splits)
    other = sorted(set(rows["label"]) - set(classes))
    if other:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classes)}; "
            f"{manifest.source} has {', '.join(manifest.classes)}"
        )
    if rows.empty:
        raise DataError(f"{manifest.source} has no readable image" + (f" in {', '.join(splits)}" if splits else ""))
    index = {label: i for i, label in enumerate(classes)}
    return ImageDataset(
        paths=tuple(Path(p) for p in rows["path"]),
        labels=rows["label"].map(index).to_numpy().astype(np.int64),
        classes=tuple(classes),
        preprocessing=preprocessing,
        name=name or "+".join(splits) or Path(manifest.source).name,
        source=manifest.source,
        facts=facts(rows),
        unreadable=manifest.unreadable,
    )
