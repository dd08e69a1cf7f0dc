"""Ways to look into a classifier. A new one is one small file and one line in :data:`EXPLANATIONS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from facevalue.errors import DataError, ImageError, UsageError
from facevalue.explanations.base import ExplainedImage, Explanation, Heat, Method, Written
from facevalue.explanations.faithfulness import pooled
from facevalue.explanations.feature_maps import FeatureMaps
from facevalue.explanations.gradcam import GradCam
from facevalue.images import decoding
from facevalue.models.classifier import Classifier
from facevalue.runtime.image_files import expand
from facevalue.support import progress

__all__ = ["EXPLANATIONS", "Explanation", "Heat", "Image", "Method", "Written", "explain_files", "find"]

EXPLANATIONS: dict[str, Method] = {"gradcam": GradCam(), "feature-maps": FeatureMaps()}

_AT_ONCE = 16  # images in memory


def find(name: str) -> Method:
    """The method of this name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in EXPLANATIONS:
        raise UsageError(f"Expected method to be one of {', '.join(EXPLANATIONS)}, but got {name!r}")
    return EXPLANATIONS[name]


def explain_files(
    classifier: Classifier, paths: Sequence[Path | str], folder: Path | str, method: str = "gradcam"
) -> dict[str, Any]:
    """Explain image files; what is written is named after each.

    Parameters
    ----------
    classifier : left as it is.
    paths : image files, or folders of them.
    folder : where to write; made where it is not there.
    method : in :data:`EXPLANATIONS`.

    Returns
    -------
    ``method`` and ``paper``; ``files``, all that was written; ``images``, for each its ``path`` and ``files``;
    ``faithfulness`` {``drop_hot``, ``drop_random``, ``n``} (see :mod:`facevalue.explanations.faithfulness`) or
    ``None``; ``unreadable`` [{``path``, ``reason``}].

    Raises
    ------
    UsageError
        There is no such method, or it cannot look into this network, or no path was given.
    DataError
        None of the files can be read.
    """
    how, folder = find(method), Path(folder)
    listed = _listed(paths)
    unreadable: list[dict[str, str]] = []
    images: list[dict[str, Any]] = []
    parts = []
    for batch in _batches(classifier, listed, unreadable):
        written = how.write(classifier, batch, folder)
        images.extend(
            {"path": str(image.path), "files": [str(f) for f in of_image]}
            for image, of_image in zip(batch, written.files, strict=True)
        )
        if written.faithfulness is not None:
            parts.append(written.faithfulness)
    if not images:
        first = unreadable[0]
        raise DataError(f"none of the {len(listed)} images can be read; {first['path']} {first['reason']}")
    return {
        "method": how.name,
        "paper": how.paper,
        "files": [file for image in images for file in image["files"]],
        "images": images,
        "faithfulness": pooled(parts).to_dict() if parts else None,
        "unreadable": unreadable,
    }


def _listed(paths: Sequence[Path | str]) -> list[Path]:
    listed: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = list(expand(path))
            if not inside:
                raise UsageError(f"{path} holds no image")
            listed.extend(inside)
        else:
            listed.append(path)
    if not listed:
        raise UsageError("there is no image to explain; name files or folders")
    return listed


def _batches(
    classifier: Classifier, listed: Sequence[Path], unreadable: list[dict[str, str]]
) -> Iterator[list[ExplainedImage]]:
    batch: list[ExplainedImage] = []
    taken: set[str] = set()
    for path in progress.track(listed, "explaining"):
        try:
            pixels = classifier.card.preprocessing.read(decoding.read_bytes(path))
        except ImageError as error:
            unreadable.append({"path": str(path), "reason": str(error)})
            continue
        batch.append(ExplainedImage(path, _unused(path.stem, taken), pixels))
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _unused(stem: str, taken: set[str]) -> str:
    """A name of its own, also where the file system does not tell cases apart."""
    name, count = stem, 1
    while name.casefold() in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name.casefold())
    return name
