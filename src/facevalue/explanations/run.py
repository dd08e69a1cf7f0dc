"""Explains many images: reads them, batches them, writes the drawings and measures faithfulness."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.evidence.records import ExplanationFigures
from facevalue.explanations.base import ExplainedImage, Method, Written, as_batch, faithfulness_of
from facevalue.explanations.faithfulness import Faithfulness, pooled
from facevalue.explanations.measure import Measure
from facevalue.explanations.overlay import FacePlace
from facevalue.faces.gate import Seen
from facevalue.images.face_crop import FaceBox
from facevalue.images.sources import ImageInput, Images, each, name_of, upright
from facevalue.models.classifier import Classifier
from facevalue.runtime.image_files import expand
from facevalue.support import names, progress
from facevalue.support.files import NO_ROOM, check_writable
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
    heats : (s, s) float32 in [0, 1] by method, the regions that support ``label``; empty for methods without heat.
    label : the explained class; ``None`` for methods without heat.
    box : left, top, width and height of the face in the upright image; ``None`` for whole images. The heat is then that
        of the crop around it.
    """

    path: str
    files: tuple[Path, ...] = ()
    heats: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    label: str | None = None
    box: FaceBox | None = None

    @property
    def heat(self) -> NDArray[np.float32] | None:
        """The heat of the only method; ``None`` for several, and for methods without heat."""
        return next(iter(self.heats.values())) if len(self.heats) == 1 else None


@dataclass(frozen=True, eq=False)
class Explanations(ShownInNotebooks):
    """The explanations of some images.

    Attributes
    ----------
    method, paper : of several methods, ``side-by-side``.
    by_method : see :mod:`facevalue.explanations.faithfulness`; empty for methods without heat.
    unreadable : path and reason of every file that is not a readable image, shows no face, or could not be explained.
    measured : areas and weight randomisation of each method, if asked for.
    refused : methods that cannot explain this network, each with the reason, where all were asked for.
    """

    method: str
    paper: str
    images: tuple[ExplanationOfImage, ...]
    by_method: Mapping[str, Faithfulness]
    unreadable: tuple[Mapping[str, str], ...]
    measured: tuple[ExplanationFigures, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def faithfulness(self) -> Faithfulness | None:
        """Of the only method; ``None`` for several, and for methods without heat."""
        return next(iter(self.by_method.values())) if len(self.by_method) == 1 else None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were written."""
        return tuple(file for image in self.images for file in image.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the heat. ``faithfulness`` of several methods is by method."""
        more = {figures.method: figures.to_dict() for figures in self.measured}
        faithful = {name: {**more.get(name, {}), **one.to_dict()} for name, one in self.by_method.items()}
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
            "faithfulness": next(iter(faithful.values()), None) if len(faithful) < 2 else faithful,
            "unreadable": [dict(bad) for bad in self.unreadable],
            "refused": dict(self.refused),
        }


def explain_images(
    classifier: Classifier, images: Images, folder: Path | None, method: Method, measure: bool = False
) -> Explanations:
    """Explain images; output files are named after the images.

    Parameters
    ----------
    classifier : not changed.
    images : one or many; a folder means all image files below it.
    folder : where to write, created if missing; ``None`` returns only heat.
    measure : also measure areas and weight randomisation, see :mod:`facevalue.explanations.measure`.

    Raises
    ------
    UsageError
        The method does not support this network, there is no image, ``folder`` cannot be written, or the method
        writes files and ``folder`` is ``None``.
    DataError
        No file can be read or explained.
    """
    if folder is None and not method.explanations:
        raise UsageError(f"{method.name} only writes files; name a folder with `output`")
    if measure and not method.explanations:
        raise UsageError(f"{method.name} has no heat whose faithfulness could be measured; leave out `faithfulness`")
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; name a folder with `output`")
        check_writable(folder / "image.png")
    unreadable: list[Mapping[str, str]] = []
    found: list[ExplanationOfImage] = []
    parts: dict[str, list[Faithfulness]] = {}
    measures = [Measure(classifier, one) for one in method.explanations] if measure else []
    for batch in _batches(classifier, images, unreadable):
        for some, written in _explained(classifier, batch, folder, method, unreadable):
            for name, faithful in written.faithfulness.items():
                parts.setdefault(name, []).append(faithful)
            for one in measures:
                one.add(as_batch(classifier, some), written.heats[one.method.name])
            found += [_of_image(classifier, image, written, i) for i, image in enumerate(some)]
    if not found:
        first = unreadable[0]
        how_far = "explained" if any(_FAILED in bad["reason"] for bad in unreadable) else "read"
        raise DataError(f"none of the {len(unreadable)} images can be {how_far}; {first['path']} {first['reason']}")
    return Explanations(
        method=method.name,
        paper=method.paper,
        images=tuple(found),
        by_method={name: pooled(some) for name, some in parts.items()},
        unreadable=tuple(unreadable),
        measured=tuple(one.figures() for one in measures),
    )


def _of_image(classifier: Classifier, image: ExplainedImage, written: Written, i: int) -> ExplanationOfImage:
    target = next((int(heat.target[i]) for heat in written.heats.values()), None)
    return ExplanationOfImage(
        path=image.path,
        files=written.files[i],
        heats={name: heat.heat[i] for name, heat in written.heats.items()},
        label=None if target is None else classifier.card.classes[target],
        box=None if image.place is None else image.place.face,
    )


def _explained(
    classifier: Classifier,
    batch: list[ExplainedImage],
    folder: Path | None,
    method: Method,
    failed: list[Mapping[str, str]],
) -> Iterator[tuple[list[ExplainedImage], Written]]:
    """A batch with its files, heat and faithfulness; if the batch fails, each image is tried separately."""
    if folder is None:
        x = as_batch(classifier, batch)
        heats = {one.name: one(classifier, x) for one in method.explanations}
        faithful = {name: faithfulness_of(classifier, x, heat) for name, heat in heats.items()}
        yield batch, Written(((),) * len(batch), heats, faithful)
        return
    try:
        written = method.write(classifier, batch, folder)
    except (FaceValueError, OSError) as error:
        if isinstance(error, UsageError) and not isinstance(error.__cause__, OSError):
            raise  # the error concerns all images
        if any(isinstance(e, OSError) and e.errno in NO_ROOM for e in (error, error.__cause__)):
            raise  # so does a full disk
        if len(batch) > 1:
            for image in batch:
                yield from _explained(classifier, [image], folder, method, failed)
        else:
            failed.append({"path": batch[0].path, "reason": f"{_FAILED}: {error}"})
    else:
        yield batch, written


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
