"""Re-made images: what messengers, editors and screenshots do to an image before a model sees it.

A pipeline is a fixed list of steps without randomness, from an upright RGB image to an upright RGB image. The declared
set :data:`PIPELINES` measures whether a verdict follows the program that saved the file; each pipeline's name and steps
are saved with the figures. Resampling and JPEG give the same bytes with every supported Pillow (golden digests in the
tests). WebP depends on libwebp, whose version is part of :func:`facevalue.images.decoding.decoder_version`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import reduce
from typing import Literal

import msgspec
from PIL import Image

from facevalue.images.face_crop import FaceBox
from facevalue.images.resize import FILTERS, Filter, resize, thumbnail

Chroma = Literal["4:2:0", "4:4:4"]
"""Colour at half or at full resolution."""

Kind = Literal["resize", "two-steps", "jpeg", "webp", "screenshot", "messenger"]
"""What a pipeline stands for."""

SMALLEST_SIDE = 16
"""No step makes a side shorter than this, in pixels."""

_WEBP_SIDE = 16_383  # the format's longest side

_WALL = (236, 236, 236)  # light grey, as around an image in a viewer


class Resized(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag="resize"):
    """Each side resampled to ``factor`` times its length, rounded."""

    filter: Filter
    factor: float

    def __str__(self) -> str:
        return f"{self.filter} x{self.factor:g}"

    def apply(self, image: Image.Image) -> Image.Image:
        """The resampled image."""
        return resize(image, self.size(image.size), FILTERS[self.filter])

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the result, from those of the image."""
        width, height = (max(SMALLEST_SIDE, round(side * self.factor)) for side in size)
        return width, height


class Jpeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag="jpeg"):
    """Saved as JPEG with libjpeg's ``quality``, 1 to 100, and read again."""

    quality: int
    chroma: Chroma = "4:2:0"

    def __str__(self) -> str:
        return f"JPEG q{self.quality} {self.chroma}"

    def apply(self, image: Image.Image) -> Image.Image:
        """The image as it is read from the file."""
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=self.quality, subsampling=self.chroma)
        return Image.open(buffer, formats=["JPEG"]).convert("RGB")


class WebP(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag="webp"):
    """Saved as lossy WebP with libwebp's ``quality``, 0 to 100, and read again; first scaled down to fit the format."""

    quality: int

    def __str__(self) -> str:
        return f"WebP q{self.quality}"

    def apply(self, image: Image.Image) -> Image.Image:
        """The image as it is read from the file."""
        buffer = io.BytesIO()
        thumbnail(image, _WEBP_SIDE, FILTERS["bicubic"]).save(buffer, "WEBP", quality=self.quality, method=4)
        return Image.open(buffer, formats=["WEBP"]).convert("RGB")


class Framed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step", tag="frame"):
    """A light grey border on all sides, each ``border`` of the shorter side wide: an image in a viewer's window."""

    border: float

    def __str__(self) -> str:
        return f"border {self.border:g}"

    def apply(self, image: Image.Image) -> Image.Image:
        """The image with its border."""
        edge = self.edge(image.size)
        window = Image.new("RGB", (image.width + 2 * edge, image.height + 2 * edge), _WALL)
        window.paste(image, (edge, edge))
        return window

    def edge(self, size: tuple[int, int]) -> int:
        """Width of the border in pixels, for an image of this width and height."""
        return max(1, round(self.border * min(size)))


Step = Resized | Jpeg | WebP | Framed


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared way of re-making an image.

    Attributes
    ----------
    name : its key in :data:`PIPELINES`, with its parameters: ``jpeg-q60-420``, ``lanczos-x0.5``.
    kind : what it stands for.
    steps : in their order.
    """

    name: str
    kind: Kind
    steps: tuple[Step, ...]

    @property
    def description(self) -> str:
        """The steps in words.

        >>> PIPELINES["messenger-box-x0.5-jpeg-q70-420"].description
        'box x0.5, JPEG q70 4:2:0'
        """
        return ", ".join(map(str, self.steps))

    def moved(self, box: FaceBox, size: tuple[int, int]) -> FaceBox:
        """Where a face is after the pipeline.

        Parameters
        ----------
        box : in the image before it.
        size : width and height of the image before it.

        >>> PIPELINES["screenshot-bilinear-x0.75-png"].moved((40, 20, 80, 100), (200, 400))
        (36, 21, 60, 75)
        """
        for step in self.steps:
            box, size = _moved(box, step, size)
        return box


def _moved(box: FaceBox, step: Step, size: tuple[int, int]) -> tuple[FaceBox, tuple[int, int]]:
    """A box after a step on an image of this size, and the size after the step."""
    x, y, width, height = box
    if isinstance(step, Framed):
        edge = step.edge(size)
        return (x + edge, y + edge, width, height), (size[0] + 2 * edge, size[1] + 2 * edge)
    new = step.size(size) if isinstance(step, Resized) else size
    across, down = new[0] / size[0], new[1] / size[1]
    left, top = min(round(x * across), new[0] - 1), min(round(y * down), new[1] - 1)
    right, bottom = round((x + width) * across), round((y + height) * down)
    return (left, top, max(1, right - left), max(1, bottom - top)), new


def remade(image: Image.Image, pipeline: Pipeline) -> Image.Image:
    """The image after all steps of a pipeline.

    Parameters
    ----------
    image : upright, RGB; not changed.

    >>> remade(Image.new("RGB", (90, 60)), PIPELINES["lanczos-x0.5"]).size
    (45, 30)
    """
    return reduce(lambda made, step: step.apply(made), pipeline.steps, image)


def _declared() -> Iterator[Pipeline]:
    for filter_ in FILTERS:
        for factor in (0.25, 0.5, 0.75, 1.5):
            yield Pipeline(f"{filter_}-x{factor:g}", "resize", (Resized(filter_, factor),))
    for first, second in (
        (Resized("lanczos", 0.5), Resized("bicubic", 2)),
        (Resized("nearest", 1.5), Resized("box", 0.5)),
        (Resized("bilinear", 0.7), Resized("bilinear", 0.7)),
    ):
        name = f"{first.filter}-x{first.factor:g}-{second.filter}-x{second.factor:g}"
        yield Pipeline(name, "two-steps", (first, second))
    chromas: tuple[Chroma, Chroma] = ("4:2:0", "4:4:4")
    for chroma in chromas:
        for quality in (95, 85, 75, 60, 40):
            name = f"jpeg-q{quality}-{chroma.replace(':', '')}"
            yield Pipeline(name, "jpeg", (Jpeg(quality, chroma),))
    for quality in (80, 50):
        yield Pipeline(f"webp-q{quality}", "webp", (WebP(quality),))
    # PNG is lossless, so a screenshot that is saved as PNG is the resized image with its border.
    yield Pipeline("screenshot-bilinear-x0.75-png", "screenshot", (Resized("bilinear", 0.75), Framed(0.04)))
    yield Pipeline(
        "screenshot-bilinear-x0.75-jpeg-q80-420",
        "screenshot",
        (Resized("bilinear", 0.75), Framed(0.04), Jpeg(80)),
    )
    yield Pipeline("messenger-box-x0.5-jpeg-q70-420", "messenger", (Resized("box", 0.5), Jpeg(70)))
    yield Pipeline("messenger-bilinear-x0.75-webp-q75", "messenger", (Resized("bilinear", 0.75), WebP(75)))


PIPELINES: dict[str, Pipeline] = {pipeline.name: pipeline for pipeline in _declared()}
"""The declared set: every filter at four factors, two steps, JPEG, WebP, screenshots and messengers."""

EVERYDAY: tuple[Pipeline, ...] = tuple(
    PIPELINES[name]
    for name in ("jpeg-q60-420", "jpeg-q40-420", "bilinear-x0.5", "lanczos-x0.25", "messenger-box-x0.5-jpeg-q70-420")
)
"""Everyday damage that calibration may look at; the other pipelines are left for testing."""
