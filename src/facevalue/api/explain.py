"""``explain``: what in an image spoke for the answer."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.inputs import Model, opened
from facevalue.explanations import Method, find
from facevalue.explanations.run import Explanations, explain_images
from facevalue.images.sources import Images


def explain(
    model: Model, images: Images, output: Path | str | None = None, *, method: str | Method = "gradcam"
) -> Explanations:
    """What the model looked at, with a measure of how far that can be believed.

    Parameters
    ----------
    model : a classifier, or a model folder.
    images : one image or many, as :func:`facevalue.predict` takes them.
    output : folder for the drawings; ``None`` gives the heat alone.
    method : a name in :data:`facevalue.explanations.EXPLANATIONS`, or a configured one.

    Raises
    ------
    UsageError
        There is no such method, or it cannot look into this network, or there is no image.
    DataError
        None of the files can be read.
    """
    how = find(method) if isinstance(method, str) else method
    return explain_images(opened(model), images, None if output is None else Path(output), how)
