"""Labelled images from files, bytes or arrays, with their groups and splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facevalue.data.dataset_values import (
    Stored,
    class_index,
    class_names,
    classes_of,
    from_tensor,
    given_splits,
    group_name,
    one_per_image,
    stored_image,
)
from facevalue.data.face_boxes import GATE, LOOKED, box_of, shows_face
from facevalue.data.manifest import FINGERPRINTED, Manifest, fingerprint
from facevalue.errors import DataError, ImageError, UsageError
from facevalue.images import input_cache
from facevalue.images.face_crop import FaceBox
from facevalue.images.input_cache import InputCache
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.remaking import Pipeline, remade
from facevalue.images.sources import ImageInput, Images, each, upright
from facevalue.support import machine, progress

HELD_BYTES = 4 * 2**30
"""Network inputs stay in memory up to this size in bytes; larger sets are cached on disk."""


class TorchDataset(Protocol):
    """A map-style torch dataset of (image, class index), as :meth:`ImageDataset.from_torch` reads it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@final
@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled images in a fixed order.

    Create one with :meth:`from_folder`, :meth:`from_dataframe`, :meth:`from_arrays` or :meth:`from_torch`. Every verb
    accepts one. It is also a map-style torch dataset: see :meth:`__getitem__`.

    Attributes
    ----------
    images : (n,) files, bytes of files, or pixels (h, w, 3).
    labels : (n,) int64, indices into ``classes``.
    classes : class names; with a model, in the order of its logits.
    rows : one row of facts per image, with at least ``label``, ``group`` and ``split``.
    preprocessing : of the network; ``None`` until a model sets it.
    name : the split (``train``, ``test``, …) or the folder's name, for reports.
    source : the folder, file or object, as the user named it.
    unreadable : path and reason of each file that was left out.
    without_face : facts of each image that was left out because it shows no face; only for networks that take faces.
    remaking : applied to every decoded image; the labels and the fingerprint are those of the original images.
    """

    images: tuple[Stored, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: pd.DataFrame
    preprocessing: Preprocessing | None = None
    name: str = "all"
    source: str = ""
    unreadable: tuple[dict[str, str], ...] = ()
    without_face: tuple[dict[str, str], ...] = ()
    remaking: Pipeline | None = None
    _held: NDArray[np.uint8] | InputCache | None = None

    # Making one ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_folder(
        cls, folder: Path | str, *, split: str | None = None, groups: str | None = None, seed: int = 0
    ) -> ImageDataset:
        """Images of a folder or a manifest file.

        Parameters
        ----------
        folder : one sub-folder per class, ``train/`` and held-out folders, or a manifest (CSV or Parquet).
        split : only the images of this split. A folder without splits is split here, as ``train`` does it with the
            same ``groups`` and ``seed`` and the default shares.
        groups : which images stay in one split, see :func:`facevalue.data.groups.with_groups`.

        Raises
        ------
        UsageError
            ``folder`` does not exist, or has no such split.
        DataError
            No image is readable.
        """
        from facevalue.data.groups import with_groups
        from facevalue.data.scan import scan
        from facevalue.data.splits import with_splits

        manifest = scan(folder)
        given = set(manifest.readable["split"]) - {""}
        if split is not None and not given:
            manifest = with_splits(with_groups(manifest, groups), seed=seed)
        elif groups is not None:
            manifest = with_groups(manifest, groups)
        if split is not None and manifest.rows(split).empty:
            known = ", ".join(sorted(set(manifest.readable["split"]) - {""}))
            raise UsageError(f"{folder} has no split {split!r}; `split` can be: {known}")
        return dataset_of(manifest, None, manifest.classes, *([] if split is None else [split]))

    @classmethod
    def from_dataframe(cls, table: pd.DataFrame, *, split: str | None = None) -> ImageDataset:
        """Images listed in a table.

        Parameters
        ----------
        table : with the columns ``path`` and ``label``. Optional: ``group`` (images of one group stay in one split)
            and ``split``. Other columns are kept for the slices of :func:`facevalue.evaluate`. Relative paths start
            from the current folder.
        split : only the rows of this split.

        Raises
        ------
        UsageError
            A column is missing.
        DataError
            The table is empty, or none of its images can be read.
        """
        from facevalue.data.scan import scan

        manifest = scan(table)
        # In the order of the table; a manifest is sorted.
        places = {PurePosixPath(path).as_posix(): i for i, path in enumerate(map(str, table["path"]))}
        at = manifest.table["key"].map(places)
        if at.notna().all():
            manifest = replace(manifest, table=manifest.table.iloc[np.argsort(at.to_numpy(), kind="stable")])
        return dataset_of(manifest, None, manifest.classes, *([] if split is None else [split]))

    @classmethod
    def from_arrays(
        cls,
        images: Images,
        labels: ArrayLike | Sequence[str],
        *,
        classes: Sequence[str] | None = None,
        groups: Sequence[object] | None = None,
        splits: Sequence[str] | None = None,
        name: str = "arrays",
    ) -> ImageDataset:
        """Images in memory.

        Parameters
        ----------
        images : (n, h, w, 3) uint8 RGB or (n, h, w) grey, or an iterable of arrays, Pillow images, bytes or paths.
        labels : (n,) class names, or indices into ``classes``.
        classes : class names in order; required if the labels are indices.
        groups : (n,) group of each image, such as a person or a scene: a group stays in one split. By default each
            image is its own group.
        splits : (n,) ``train``, ``validation``, ``calibration`` or ``test``.
        name : of the dataset, for reports.

        Raises
        ------
        UsageError
            Lengths differ, a label is not in ``classes``, or an item is not an image.
        """
        stored = tuple(stored_image(image) for image in each(images))
        if not stored:
            raise UsageError("Expected at least one image, but got none")
        if classes is not None and len(set(classes)) < len(classes):
            raise UsageError(f"Expected classes that are all different, but got {', '.join(classes)}")
        n = len(stored)
        names = class_names(labels, classes, n)
        known = tuple(sorted(set(names))) if classes is None else tuple(classes)
        rows = pd.DataFrame(
            {
                "label": names,
                "group": [""] * n
                if groups is None
                else [group_name(one) for one in one_per_image("groups", groups, n)],
                "split": [""] * n if splits is None else given_splits(one_per_image("splits", splits, n)),
            }
        )
        index = {label: i for i, label in enumerate(known)}
        return cls(stored, np.array([index[one] for one in names], np.int64), known, rows, name=name, source=name)

    @classmethod
    def from_torch(cls, dataset: TorchDataset, *, classes: Sequence[str] | None = None) -> ImageDataset:
        """The items of a map-style torch dataset, read into memory.

        Parameters
        ----------
        dataset : its items are (image, class index). An image is a Pillow image, a uint8 array (h, w, 3), a uint8
            tensor (3, h, w), or a float tensor (3, h, w) in [0, 1], which is rounded to 8 bits.
        classes : class names; by default ``dataset.classes``, or the indices as text.

        Raises
        ------
        UsageError
            An item is not such a pair, or a float image has values outside [0, 1].
        """
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise UsageError("Expected a map-style torch dataset, with a length and items by index")
        images, labels = [], []
        for i in range(len(dataset)):
            item = dataset[i]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise UsageError(f"Expected items (image, class index), but item {i} is {type(item).__name__}")
            images.append(from_tensor(item[0], i))
            labels.append(class_index(item[1], i))
        if classes is None:
            own = classes_of(dataset)
            classes = [str(i) for i in range(max(labels, default=-1) + 1)] if own is None else [str(c) for c in own]
        return cls.from_arrays(images, labels, classes=classes, name=type(dataset).__name__)

    # Looking at it ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32] | NDArray[np.uint8], int]:
        """An image and the index of its class, as a torch ``DataLoader`` reads it.

        Returns
        -------
        The network input (3, s, s) float32 in [0, 1], as ``Classifier.logits`` takes it. Without
        :attr:`preprocessing`, the upright image (h, w, 3) uint8.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no image {index}; there are {len(self)}")
        i = int(index) % len(self)
        if self.preprocessing is None:
            return np.asarray(self.upright(i)), int(self.labels[i])
        x = self._input(i).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return x, int(self.labels[i])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over bytes, label and split of these images and those without a face; file names do not count."""
        rows = self.scanned().rows[list(FINGERPRINTED)]
        return fingerprint(pd.concat([rows, pd.DataFrame(list(self.without_face))]) if self.without_face else rows)

    @property
    def names(self) -> tuple[str, ...]:
        """(n,) name of each image for messages and files: its path, or ``image-`` and its position."""
        return tuple(str(image) if isinstance(image, Path) else f"image-{i:06d}" for i, image in enumerate(self.images))

    def scanned(self) -> ImageDataset:
        """The same images with the columns of a manifest in :attr:`rows` (``sha256``, ``phash``, …)."""
        if "sha256" in self.rows.columns:
            return self
        from facevalue.data.scan import scan

        return dataset_of(scan(self), self.preprocessing, self.classes, name=self.name).remade(self.remaking)

    def upright(self, index: int) -> Image.Image:
        """The decoded image: upright, RGB, in its original size; after :attr:`remaking` if that is set."""
        try:
            image = upright(self.images[index])
        except ImageError as error:
            raise DataError(f"{self.names[index]} {error}; it could be read before") from error
        return image if self.remaking is None else remade(image, self.remaking)

    def shown(self) -> Iterator[ImageInput]:
        """What the network is shown of each image: the image as it is stored, or the crop of its face."""
        preprocessing = self.preprocessing
        if preprocessing is None or preprocessing.face_margin is None:
            yield from self.images
            return
        for i in range(len(self)):
            image = self.upright(i)
            yield image.crop(preprocessing.face_square(self._face(i), image.size))

    def batches(
        self, size: int = 32, order: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Network inputs (b, s, s, 3) uint8 RGB with labels (b,), decoded ahead by threads.

        At most four batches are decoded ahead, so memory does not grow with the number of images.

        Parameters
        ----------
        order : positions of the images in the order wanted; by default all images in their order.
        """
        # Threads, not processes: decoding and resampling release the interpreter lock. Threads start at once, share the
        # cache, pass arrays without copying and end with Ctrl-C (measured in benchmarks/decode_speed.py).
        places = np.arange(len(self)) if order is None else np.asarray(order)
        if isinstance(self._held, np.ndarray):
            for start in range(0, len(places), size):
                part = places[start : start + size]
                yield self._held[part], self.labels[part]
            return
        decoded = machine.in_order(self._input, (int(i) for i in places), ahead=4 * size)
        for start in range(0, len(places), size):
            part = places[start : start + size]
            yield np.stack([next(decoded) for _ in part]), self.labels[part]

    def pixels(self, what: str = "") -> NDArray[np.uint8]:
        """All network inputs in memory, (n, s, s, 3) uint8; ``what`` is the name of this work in progress displays."""
        if isinstance(self._held, np.ndarray):
            return self._held
        side = self._expected_preprocessing().size
        out = np.empty((len(self), side, side, 3), np.uint8)
        start = 0
        with progress.work(what or f"decoding {self.name}", len(self)) as work:
            for pixels, _ in self.batches(64):
                out[start : start + len(pixels)] = pixels
                start += len(pixels)
                work.advance(len(pixels))
        return out

    # Making another --------------------------------------------------------------------------------------------------

    def with_preprocessing(self, preprocessing: Preprocessing) -> ImageDataset:
        """The same images, prepared for a network with this preprocessing.

        Raises
        ------
        UsageError
            The network takes faces, and no faces were looked for in these images.
        """
        if preprocessing.face_margin is not None and GATE not in self.rows.columns:
            raise UsageError(
                "the network takes faces: give the images to a verb such as evaluate, which looks for them"
            )
        return self if preprocessing == self.preprocessing else replace(self, preprocessing=preprocessing, _held=None)

    def remade(self, pipeline: Pipeline | None) -> ImageDataset:
        """The same images, each re-made by a pipeline after decoding; ``None`` for the originals."""
        return self if pipeline == self.remaking else replace(self, remaking=pipeline, _held=None)

    def held(self, folder: Path | None = None, limit: int | None = None, *, room: int = HELD_BYTES) -> ImageDataset:
        """The same images with their network inputs decoded once and kept.

        They are kept in memory, or on disk if they take more than ``room`` bytes.

        Parameters
        ----------
        folder, limit : of the files on disk; see :func:`facevalue.images.input_cache.cached`.
        room : most bytes in memory.
        """
        side = self._expected_preprocessing().size
        if self._held is not None:
            return self
        if len(self) * side * side * 3 <= room:
            return replace(self, _held=self.pixels())
        if "sha256" not in self.rows.columns or self.remaking is not None:  # the files on disk are of originals
            return self
        sha256s = [str(sha256) for sha256 in self.rows["sha256"]]
        looked = str(self.rows[LOOKED].iat[0]) if self._expected_preprocessing().face_margin is not None else ""
        how = (self._expected_preprocessing(), looked)
        with progress.within(self.name):
            cached = input_cache.cached(sha256s, how, self._decoded, folder, limit)
        return replace(self, _held=cached)

    def take(self, indices: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> ImageDataset:
        """The images at these positions."""
        asked = np.asarray(indices)
        if asked.dtype == np.bool_:
            if asked.shape != (len(self),):
                raise UsageError(f"Expected a mask of {len(self)} booleans, but got shape {asked.shape}")
            asked = np.flatnonzero(asked)
        chosen = asked.astype(np.int64)
        held = self._held[chosen] if isinstance(self._held, np.ndarray) else self._held
        return replace(
            self,
            images=tuple(self.images[i] for i in chosen),
            labels=self.labels[chosen],
            rows=self.rows.iloc[chosen].reset_index(drop=True),
            without_face=(),
            _held=held,
        )

    def joined(self, *others: ImageDataset, name: str) -> ImageDataset:
        """These images followed by those of ``others``, as one dataset called ``name``."""
        if not others:
            return replace(self, name=name, unreadable=())
        parts = (self, *others)
        if any(part.remaking != self.remaking for part in others):
            raise UsageError("datasets that are re-made in different ways cannot be joined")
        held = [part._held for part in parts]
        arrays = [one for one in held if isinstance(one, np.ndarray)]
        return replace(
            self,
            images=tuple(image for part in parts for image in part.images),
            labels=np.concatenate([part.labels for part in parts]),
            rows=pd.concat([part.rows for part in parts], ignore_index=True),
            name=name,
            source="; ".join(dict.fromkeys(part.source for part in parts)),
            unreadable=(),
            without_face=tuple(one for part in parts for one in part.without_face),
            _held=np.concatenate(arrays) if len(arrays) == len(parts) else None,
        )

    def some(self, n: int, seed: int = 0) -> ImageDataset:
        """At most ``n`` images, drawn evenly from the classes, in their original order."""
        return self if n >= len(self) else self.take(self.places(n, seed))

    def places(self, n: int, seed: int = 0) -> NDArray[np.int64]:
        """Positions of at most ``n`` images, drawn evenly from the classes, in ascending order."""
        if n >= len(self):
            return np.arange(len(self))
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self))
        rank = np.empty(len(self), np.int64)  # within its class in the shuffled order: 0, 1, 2, …
        for c in range(len(self.classes)):
            of_class = shuffled[self.labels[shuffled] == c]
            rank[of_class] = np.arange(len(of_class))
        return np.sort(shuffled[np.argsort(rank[shuffled], kind="stable")][:n])

    # How it reads ----------------------------------------------------------------------------------------------------

    def _input(self, i: int) -> NDArray[np.uint8]:
        if isinstance(self._held, np.ndarray):
            pixels: NDArray[np.uint8] = self._held[i]
            return pixels
        found = None if self._held is None else self._held.get(str(self.rows["sha256"].iat[i]))
        return self._decoded(i) if found is None else found

    def _decoded(self, i: int) -> NDArray[np.uint8]:
        preprocessing = self._expected_preprocessing()
        if preprocessing.face_margin is not None:
            return preprocessing.of_face(self.upright(i), self._face(i))
        if self.remaking is not None:
            return preprocessing.apply(self.upright(i))
        try:
            return preprocessing.of(self.images[i])
        except ImageError as error:
            raise DataError(f"{self.names[i]} {error}; it could be read before") from error

    def _face(self, i: int) -> FaceBox:
        """The box of the face in :meth:`upright`; a pipeline moves it with the image."""
        box = box_of(self.rows, i)
        return box if self.remaking is None else self.remaking.moved(box, upright(self.images[i]).size)

    def _expected_preprocessing(self) -> Preprocessing:
        if self.preprocessing is None:
            raise UsageError(
                "the dataset has no preprocessing yet; set it with with_preprocessing(model.card.preprocessing)"
            )
        return self.preprocessing


def dataset_of(
    manifest: Manifest, preprocessing: Preprocessing | None, classes: Sequence[str], *splits: str, name: str = ""
) -> ImageDataset:
    """The readable images of these splits of a manifest, or of all splits if none is named.

    Labels are indices into ``classes``, matched by name. For a network that takes faces, images without one are left
    out and listed.

    Raises
    ------
    DataError
        The manifest has a class that ``classes`` lacks, no image is readable, or none shows a face.
    """
    rows: pd.DataFrame = manifest.rows(*splits)
    unknown = sorted(set(rows["label"]) - set(classes))
    if unknown:
        raise DataError(
            f"the classes do not match: the model knows {', '.join(classes)}; "
            f"{manifest.source} has {', '.join(manifest.classes)}; name them for the model with `classes`"
        )
    if rows.empty:
        raise DataError(f"{manifest.source} has no readable image" + (f" in {', '.join(splits)}" if splits else ""))
    without_face: tuple[dict[str, str], ...] = ()
    if preprocessing is not None and preprocessing.face_margin is not None:
        has_face = shows_face(rows)
        columns = ["path", "label", "split", "sha256"]
        without_face = tuple(dict(zip(columns, row, strict=True)) for row in rows.loc[~has_face, columns].to_numpy())
        rows = rows[has_face]
        if rows.empty:
            raise DataError(f"no face was found in any of the {len(has_face)} images of {manifest.source}")
    index = {label: i for i, label in enumerate(classes)}
    return ImageDataset(
        images=tuple(manifest.images.get(path, Path(path)) for path in rows["path"]),
        labels=rows["label"].map(index).to_numpy().astype(np.int64),
        classes=tuple(classes),
        rows=rows.reset_index(drop=True),
        preprocessing=preprocessing,
        name=name or "+".join(splits) or Path(manifest.source).name,
        source=manifest.source,
        unreadable=manifest.unreadable,
        without_face=without_face,
    )


def held(splits: Mapping[str, ImageDataset]) -> dict[str, ImageDataset]:
    """The splits of a training, each decoded once; together they take at most :data:`HELD_BYTES` of memory."""
    left, found = HELD_BYTES, {}
    for split, dataset in splits.items():
        found[split] = part = dataset.held(room=left)
        left -= part._held.nbytes if isinstance(part._held, np.ndarray) else 0
    return found
