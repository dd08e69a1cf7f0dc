"""``explain``: which regions of an image support the prediction."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.inputs import Model, opened
from facevalue.explanations import Method, find
from facevalue.explanations.run import Explanations, explain_images
from facevalue.images.sources import Images


def explain(
    model: Model, images: Images, output: Path | str | None = None, *, method: str | Method = "gradcam"
) -> Explanations:
    """Explain predictions by heat maps or feature maps, and measure how faithful the heat is.

    Parameters
    ----------
    model : a classifier, or a model folder.
    images : one image or many, as for :func:`facevalue.predict`.
    output : folder for the drawings; ``None`` returns only the heat.
    method : a name in :data:`facevalue.explanations.EXPLANATIONS`, or a configured one.

    Raises
    ------
    UsageError
        There is no such method, it does not support this network, or there is no image.
    DataError
        No file can be read.
    """
    how = find(method) if isinstance(method, str) else method
    return explain_images(opened(model), images, None if output is None else Path(output), how)
