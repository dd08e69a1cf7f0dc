"""Chooses the images that a model folder carries as canaries."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.data.fetch.known_sets import RECEIPT
from facevalue.images.parity import first_of

FROM_TEST = 24
"""At most this many test images are copied into a model folder."""

_LARGEST = 75_000  # bytes of a test image; larger ones would leave no room for others
_DRAWN = (
    "jpeg 4:2:0",
    "jpeg progressive",
    "jpeg grey",
    "jpeg CMYK",
    "jpeg EXIF orientation 6",
    "png palette",
    "png alpha",
    "webp lossy",
    "gif",
    "png grey",
)
_FREE = ("CC0", "CC BY ", "CC BY-SA", "public domain", "MIT", "Apache-2.0")


def canary_images(test: ImageDataset | None) -> Iterator[tuple[str, bytes]]:
    """Names and files: drawn ones of several formats, then test images, evenly from the classes.

    Test images are named by number, because a file name may name a person.

    Parameters
    ----------
    test : ``None`` for drawn images only.
    """
    yield from ((f"drawn-{file.name}", file.data) for file in first_of(_DRAWN))
    if test is None:
        return
    chosen = test.some(2 * FROM_TEST)  # some will be too large
    n = 0
    for image in chosen.images:
        data, suffix = _file_of(image)
        if len(data) <= _LARGEST and n < FROM_TEST:
            yield f"test-{n:02d}{suffix}", data
            n += 1


def may_be_copied(source: str) -> bool:
    """Whether test images of this folder may be copied into a model folder.

    Public datasets that ``data get`` downloaded say their licence; one that does not clearly allow copies forbids them.
    For a folder of the user's own, the user decides: with ``canaries = "drawn"`` in the recipe none is copied.
    """
    try:
        licence = str(json.loads((Path(source) / RECEIPT).read_text(encoding="utf-8"))["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return licence.startswith(_FREE)


def _file_of(image: Path | bytes | np.ndarray) -> tuple[bytes, str]:
    if isinstance(image, Path):
        return image.read_bytes(), image.suffix.lower()
    if isinstance(image, bytes):
        return image, ""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue(), ".png"
