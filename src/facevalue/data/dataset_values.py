"""Images, labels, groups and splits as callers give them, checked and brought into one form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facevalue.data.split_names import split_of
from facevalue.errors import UsageError
from facevalue.images.sources import ImageInput, checked_array, upright

Stored = Path | bytes | NDArray[np.uint8]
"""An image as a dataset keeps it: a file, the bytes of one, or RGB pixels (h, w, 3)."""


def stored_image(image: ImageInput) -> Stored:
    """The image as a dataset keeps it; pixels are copied."""
    if isinstance(image, np.ndarray | Image.Image):
        # A copy: a buffer that the caller fills again must not change the dataset.
        pixels = np.array(checked_array(image) if isinstance(image, np.ndarray) else upright(image), np.uint8)
        pixels.flags.writeable = False
        return pixels
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(image)
    raise UsageError(
        f"Expected an image as a path, bytes, a Pillow image or a uint8 array, but got {type(image).__name__}"
    )


def group_name(value: object) -> str:
    """The name of a group; nothing for an image that belongs to none (``None`` or NaN)."""
    return "" if value is None or value != value else str(value)  # NaN alone differs from itself


def given_splits(values: Sequence[object]) -> list[str]:
    """(n,) splits by their usual names: ``train``, ``val``, ``test``, …; all of them, or none."""
    given = ["" if value is None or value != value else str(value) for value in values]
    named = {value: split_of(value) for value in set(given) - {""}}
    odd = sorted(value for value, split in named.items() if split is None)
    if odd:
        raise UsageError(f"Expected splits such as train, validation, calibration and test, but got {odd[0]!r}")
    if named and "" in given:
        raise UsageError(
            f"{given.count('')} of {len(given)} images have no split; give a split to all images or to none"
        )
    return [named[value] or "" if value else "" for value in given]


def class_names(labels: ArrayLike | Sequence[str], classes: Sequence[str] | None, n: int) -> list[str]:
    """(n,) class names."""
    values = list(np.asarray(labels, dtype=object).ravel()) if not isinstance(labels, str) else [labels]
    if len(values) != n:
        raise UsageError(f"Expected one label per image, but got {len(values)} labels for {n} images")
    if classes is None:
        if any(not isinstance(value, str) for value in values):
            raise UsageError("labels are indices; give the class names in order as `classes`")
        return [str(value) for value in values]
    known = list(classes)
    names = [value if isinstance(value, str) else _class_at(value, known) for value in values]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"Expected labels to be among {', '.join(known)}, but got {unknown[0]!r}")
    return names


def _class_at(value: object, classes: Sequence[str]) -> str:
    if not isinstance(value, int | np.integer) or not 0 <= int(value) < len(classes):
        raise UsageError(f"Expected a label to be a class or an index from 0 to {len(classes) - 1}, but got {value!r}")
    return classes[int(value)]


def one_per_image(parameter: str, values: Sequence[object], n: int) -> list[object]:
    """The values as a list; there must be one per image."""
    found = list(values)
    if len(found) != n:
        raise UsageError(f"Expected one value per image in `{parameter}`, but got {len(found)} for {n} images")
    return found


def class_index(label: Any, place: int) -> int:
    """A whole number, also as a tensor or array of one value."""
    value = label.item() if hasattr(label, "item") and getattr(label, "size", None) is not None else label
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise UsageError(f"Expected class indices from 0 up, but item {place} has the label {label!r}")
    return int(value)


def classes_of(dataset: Any) -> Sequence[str] | None:
    """The class names of a dataset, or of the one that it is a part of (``torch.utils.data.Subset``)."""
    while dataset is not None:
        own = getattr(dataset, "classes", None)
        if own is not None:
            return [str(name) for name in own]
        dataset = getattr(dataset, "dataset", None)
    return None


def from_tensor(image: Any, place: int) -> ImageInput:
    """A Pillow image or array unchanged; a tensor (c, h, w) as an array (h, w, 3)."""
    if not hasattr(image, "detach"):
        found: ImageInput = image
        return found
    array = np.asarray(image.detach().cpu())
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
        array = array[..., 0] if array.shape[2] == 1 else array
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise UsageError(
                f"Expected float images in [0, 1], but item {place} holds values from {array.min():g} to "
                f"{array.max():g}; leave normalisation out of the dataset's transform"
            )
        array = np.round(array * 255).astype(np.uint8)
    return np.ascontiguousarray(array)
