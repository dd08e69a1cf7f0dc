"""Explains many images: reads them, batches them, writes the drawings and measures faithfulness."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.explanations.base import ExplainedImage, Explanation, Heat, Method, as_batch
from facevalue.explanations.faithfulness import Faithfulness, deletion, pooled
from facevalue.explanations.overlay import FacePlace
from facevalue.faces.gate import Seen
from facevalue.images.face_crop import FaceBox
from facevalue.images.sources import ImageInput, Images, each, name_of, upright
from facevalue.models.classifier import Classifier, frozen
from facevalue.runtime.image_files import expand
from facevalue.support import names, progress
from facevalue.support.html import ShownInNotebooks

_AT_ONCE = 16  # images in memory
_LONGEST = 100  # bytes of the image's name that are used in an output file's name
_FAILED = "was not explained"


@dataclass(frozen=True, eq=False)
class ExplanationOfImage:
    """The explanation of one image.

    Attributes
    ----------
    path : the image's file, or ``image-000001`` for one in memory.
    files : the files written for it.
    heat : (s, s) float32 in [0, 1], the regions that support ``label``; ``None`` for methods without heat.
    label : the explained class; ``None`` for methods without heat.
    box : left, top, width and height of the face in the upright image; ``None`` for whole images. The heat is then that
        of the crop around it.
    """

    path: str
    files: tuple[Path, ...] = ()
    heat: NDArray[np.float32] | None = None
    label: str | None = None
    box: FaceBox | None = None


@dataclass(frozen=True, eq=False)
class Explanations(ShownInNotebooks):
    """The explanations of some images.

    Attributes
    ----------
    faithfulness : see :mod:`facevalue.explanations.faithfulness`; ``None`` for methods without heat.
    unreadable : path and reason of every file that is not a readable image, shows no face, or could not be explained.
    """

    method: str
    paper: str
    images: tuple[ExplanationOfImage, ...]
    faithfulness: Faithfulness | None
    unreadable: tuple[Mapping[str, str], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were written."""
        return tuple(file for image in self.images for file in image.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the heat."""
        return {
            "method": self.method,
            "paper": self.paper,
            "files": [str(file) for file in self.files],
            "images": [
                {
                    "path": image.path,
                    "label": image.label,
                    "box": None if image.box is None else list(image.box),
                    "files": [str(file) for file in image.files],
                }
                for image in self.images
            ],
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_dict(),
            "unreadable": [dict(bad) for bad in self.unreadable],
        }


def explain_images(classifier: Classifier, images: Images, folder: Path | None, method: Method) -> Explanations:
    """Explain images; output files are named after the images.

    Parameters
    ----------
    classifier : not changed.
    images : one or many; a folder means all image files below it.
    folder : where to write, created if missing; ``None`` returns only heat.

    Raises
    ------
    UsageError
        The method does not support this network, there is no image, or the method writes files and ``folder`` is
        ``None``.
    DataError
        No file can be read or explained.
    """
    if folder is None and not isinstance(method, Explanation):
        raise UsageError(f"{method.name} only writes files; name a folder with `output`")
    unreadable: list[Mapping[str, str]] = []
    found: list[ExplanationOfImage] = []
    parts: list[Faithfulness] = []
    for batch in _batches(classifier, images, unreadable):
        for some, files, heat, measured in _explained(classifier, batch, folder, method, unreadable):
            parts += [] if measured is None else [measured]
            for i, image in enumerate(some):
                label = None if heat is None else classifier.card.classes[int(heat.target[i])]
                warm = None if heat is None else heat.heat[i]
                found.append(
                    ExplanationOfImage(
                        image.path, files[i], warm, label, None if image.place is None else image.place.face
                    )
                )
    if not found:
        first = unreadable[0]
        how_far = "explained" if any(_FAILED in bad["reason"] for bad in unreadable) else "read"
        raise DataError(f"none of the {len(unreadable)} images can be {how_far}; {first['path']} {first['reason']}")
    return Explanations(method.name, method.paper, tuple(found), pooled(parts) if parts else None, tuple(unreadable))


def _explained(
    classifier: Classifier,
    batch: list[ExplainedImage],
    folder: Path | None,
    method: Method,
    failed: list[Mapping[str, str]],
) -> Iterator[tuple[list[ExplainedImage], tuple[tuple[Path, ...], ...], Heat | None, Faithfulness | None]]:
    """A batch with its files, heat and faithfulness; if the batch fails, each image is tried separately."""
    if folder is None:
        assert isinstance(method, Explanation)
        x = as_batch(classifier, batch)
        heat = method(classifier, x)
        yield batch, ((),) * len(batch), heat, _faithfulness(classifier, x, heat)
        return
    try:
        written = method.write(classifier, batch, folder)
    except (FaceValueError, OSError) as error:
        if isinstance(error, UsageError) and not isinstance(error.__cause__, OSError):
            raise  # the error concerns all images
        if len(batch) > 1:
            for image in batch:
                yield from _explained(classifier, [image], folder, method, failed)
        else:
            failed.append({"path": batch[0].path, "reason": f"{_FAILED}: {error}"})
    else:
        yield batch, written.files, written.heat, written.faithfulness


def _faithfulness(classifier: Classifier, x: Tensor, heat: Heat) -> Faithfulness:
    with frozen(classifier):
        return deletion(
            classifier, x, torch.from_numpy(heat.heat).to(x.device), torch.from_numpy(heat.target).to(x.device)
        )


def _listed(images: Images) -> list[ImageInput]:
    listed: list[ImageInput] = []
    for image in each(images):
        if isinstance(image, str | os.PathLike) and Path(image).is_dir():
            inside = list(expand(Path(image)))
            if not inside:
                raise UsageError(f"{image} has no image files")
            listed.extend(inside)
        else:
            listed.append(image)
    if not listed:
        raise UsageError("there is no image to explain; name files or folders")
    return listed


def _batches(
    classifier: Classifier, images: Images, unreadable: list[Mapping[str, str]]
) -> Iterator[list[ExplainedImage]]:
    batch: list[ExplainedImage] = []
    taken: set[str] = set()
    for i, image in enumerate(progress.track(_listed(images), "explaining")):
        path = name_of(image) or f"image-{i:06d}"
        (asked,) = classifier.inputs_of((path, image))
        if asked.pixels is None:
            reason = asked.error if asked.seen is None else asked.seen.detail
            unreadable.append({"path": path, "reason": str(reason)})
            continue
        one = ExplainedImage(path, _unused(PurePath(path).stem, taken), asked.pixels)
        batch.append(one if asked.seen is None else _with_place(one, image, classifier, asked.seen))
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_place(one: ExplainedImage, image: ImageInput, classifier: Classifier, seen: Seen) -> ExplainedImage:
    """A face to explain with its place in the image."""
    if seen.box is None or classifier.card.preprocessing.face_margin is None:
        return one
    whole = upright(image)
    place = FacePlace.of(whole, classifier.card.preprocessing.face_square(seen.box, whole.size), seen.box)
    return replace(one, place=place, doubt=seen.detail)


def _unused(stem: str, taken: set[str]) -> str:
    """A name that is not in ``taken`` and is valid on every file system, also on case-insensitive ones."""
    name = short = names.portable(stem, _LONGEST)
    count = 1
    while names.folded(name) in taken:
        count += 1
        name = f"{short}-{count}"
    taken.add(names.folded(name))
    return name
