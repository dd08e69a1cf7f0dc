"""From an upright RGB image to the network input: size, fit and filter."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.errors import UsageError
from facevalue.images.decoding import decode_reduced
from facevalue.images.face_crop import FaceBox, square_around
from facevalue.images.resize import FILTERS, Box, Filter, resize
from facevalue.images.sources import ImageInput, encoded, upright

Fit = Literal["squash", "crop", "pad"]


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an upright RGB image becomes the network input.

    Attributes
    ----------
    size : side of the network input in pixels.
    fit : ``squash`` resizes both sides to ``size``; ``crop`` takes the central square; ``pad`` keeps the whole image
        and fills the rest with mid grey.
    filter : resampling filter; all but ``nearest`` are antialiased.
    crop_fraction : share of the shorter side that ``crop`` keeps, in (0, 1].
    jpeg_gap : 0 decodes every JPEG in full size. With 1 to 64, a JPEG is decoded at a half, a quarter or an eighth of
        its size if that is still ``jpeg_gap`` times the network input (see :func:`decode_reduced`). At a gap of 2, a
        photograph of 12 million pixels is read about seven times faster; its network input differs by 0.7 levels of 255
        on average and by at most 5 in 99 % of pixels (measured on real photographs). Keep 0 if only one class has large
        JPEGs: a network could learn that the two classes are resampled differently.
    face_margin : ``None`` for whole images. With a number, the network sees a face: the square around its box, with
        this share of the box's longer side added on each side (see :func:`square_around`).
    """

    size: int = 224
    fit: Fit = "squash"
    filter: Filter = "bicubic"
    crop_fraction: float = 1.0
    jpeg_gap: float = 0.0
    face_margin: float | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise UsageError(f"Expected size from 8 to 4096 pixels, but got {self.size}")
        if not 0 < self.crop_fraction <= 1:
            raise UsageError(f"Expected crop_fraction in (0, 1], but got {self.crop_fraction}")
        if self.jpeg_gap and not 1 <= self.jpeg_gap <= 64:
            raise UsageError(f"Expected jpeg_gap 0 or from 1 to 64, but got {self.jpeg_gap}")
        if self.jpeg_gap and self.filter in ("nearest", "box"):
            # These filters show the reduced image's single pixels: 3 levels of difference on average (measured).
            raise UsageError(f"Expected filter bilinear, bicubic or lanczos with jpeg_gap, but got {self.filter}")
        if self.face_margin is not None and not 0 <= self.face_margin <= 10:
            raise UsageError(f"Expected face_margin from 0 to 10, but got {self.face_margin}")
        if self.face_margin is not None and self.jpeg_gap:
            # The size of a face is not known before the image is decoded.
            raise UsageError(f"Expected jpeg_gap 0 with face_margin, but got {self.jpeg_gap}")

    @property
    def whole(self) -> Preprocessing:
        """The same for whole images, and for images that are crops of faces already."""
        return msgspec.structs.replace(self, face_margin=None)

    def reduction(self, width: int, height: int) -> int:
        """The divisor, 1, 2, 4 or 8, by which a JPEG's size is reduced in decoding.

        >>> Preprocessing(size=224, jpeg_gap=2).reduction(4000, 3000)
        4
        """
        if not self.jpeg_gap:
            return 1
        # The part of the image that becomes one side of the network input.
        edge: float = max(width, height) if self.fit == "pad" else min(width, height)
        if self.fit == "crop":
            edge *= self.crop_fraction
        return next((by for by in (8, 4, 2) if edge >= by * self.jpeg_gap * self.size), 1)

    def apply(self, image: Image.Image, box: Box | None = None) -> NDArray[np.uint8]:
        """The network input as (size, size, 3) uint8 RGB.

        Parameters
        ----------
        image : upright, RGB.
        box : the part of ``image`` to use; by default the whole image.

        Examples
        --------
        >>> Preprocessing(size=8).apply(Image.new("RGB", (30, 20), "red"))[0, 0].tolist()
        [255, 0, 0]
        """
        side, resample = self.size, FILTERS[self.filter]
        x, y, right, bottom = (0, 0, *image.size) if box is None else box
        width, height = right - x, bottom - y
        if self.fit == "squash":
            same = (width, height) == (side, side) == image.size
            pixels = image if same else resize(image, (side, side), resample, (x, y, right, bottom))
        elif self.fit == "crop":
            edge = min(width, height) * self.crop_fraction
            left, top = x + (width - edge) / 2, y + (height - edge) / 2
            pixels = resize(image, (side, side), resample, (left, top, left + edge, top + edge))
        else:
            scale = side / max(width, height)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
            pixels = Image.new("RGB", (side, side), (128, 128, 128))
            whole = resize(image, inner, resample, (x, y, right, bottom))
            pixels.paste(whole, ((side - inner[0]) // 2, (side - inner[1]) // 2))
        return np.asarray(pixels, dtype=np.uint8)

    def of_face(self, image: Image.Image, face: FaceBox) -> NDArray[np.uint8]:
        """The network input (size, size, 3) uint8 RGB of one face.

        Parameters
        ----------
        image : the whole image, upright, RGB.
        face : the face's box in it.
        """
        # Cropped first: resampling with a box would also read pixels beside it.
        return self.apply(image.crop(self.face_square(face, image.size)))

    def face_square(self, face: FaceBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part that the network sees of a face, in an image of this size."""
        if self.face_margin is None:
            raise ValueError("this preprocessing is for whole images")
        return square_around(face, self.face_margin, size)

    def read(self, data: bytes, max_pixels: int | None = None) -> NDArray[np.uint8]:
        """The network input (size, size, 3) uint8 RGB of file bytes; raises :class:`ImageError` as :func:`decode`."""
        self._expect_whole()
        return self.apply(*decode_reduced(data, self.reduction, max_pixels))

    def of(self, image: ImageInput, max_pixels: int | None = None) -> NDArray[np.uint8]:
        """The network input (size, size, 3) uint8 RGB of an image in any form.

        Raises
        ------
        ImageError
            A file cannot be read, or is not an image.
        UsageError
            The object is not an image.
        """
        self._expect_whole()
        if isinstance(image, np.ndarray | Image.Image):
            return self.apply(upright(image))
        return self.read(encoded(image), max_pixels)

    def _expect_whole(self) -> None:
        """A whole image must never take the place of a face unnoticed."""
        if self.face_margin is not None:
            raise ValueError("this preprocessing is for faces: use of_face, or `whole` for crops")
