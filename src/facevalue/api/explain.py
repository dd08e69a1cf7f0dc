"""``explain``: which regions of an image support the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facevalue.api.common.inputs import Model, opened
from facevalue.errors import UsageError
from facevalue.explanations import EXPLANATIONS, Explanation, Method, MethodSheet, find
from facevalue.explanations.run import Explanations, explain_images
from facevalue.images.sources import Images
from facevalue.models.classifier import Classifier

ALL = "all"


def explain(
    model: Model,
    images: Images,
    output: Path | str | None = None,
    *,
    method: str | Method | Sequence[str | Method] = "gradcam",
    faithfulness: bool = False,
) -> Explanations:
    """Explain predictions by heat maps or feature maps, and measure how faithful the heat is.

    Parameters
    ----------
    model : a classifier, or a model folder.
    images : one image or many, as for :func:`facevalue.predict`.
    output : folder for the drawings; ``None`` returns only the heat.
    method : a name in :data:`facevalue.explanations.EXPLANATIONS`, or a configured one. Several are drawn side by side;
        ``all`` takes every method with heat that can explain this network.
    faithfulness : also measure insertion, deletion and weight randomisation on these images; about thirty times the
        work. :func:`facevalue.evaluate_explanations` does it for labelled images and keeps the figures on the card.

    Raises
    ------
    UsageError
        There is no such method, it does not support this network, or there is no image.
    DataError
        No file can be read.
    """
    classifier = opened(model)
    how, refused = _method(classifier, method)
    found = explain_images(classifier, images, None if output is None else Path(output), how, faithfulness)
    return replace(found, refused=refused)


def methods_with_heat(names: Sequence[str | Method] | None = None) -> tuple[Explanation, ...]:
    """The methods of these names, each once; ``None`` for all that make heat.

    Raises
    ------
    UsageError
        A name is unknown, or the method has no heat.
    """
    if names is None:
        return tuple(method for method in EXPLANATIONS.values() if isinstance(method, Explanation))
    found: dict[str, Explanation] = {}
    for name in names:
        method = find(name) if isinstance(name, str) else name
        if not isinstance(method, Explanation):
            raise UsageError(f"{method.name} has no heat, so it cannot be compared; name it alone as `method`")
        found[method.name] = method
    if not found:
        raise UsageError("there is no method; name at least one with `method`")
    return tuple(found.values())


def _method(classifier: Classifier, method: str | Method | Sequence[str | Method]) -> tuple[Method, dict[str, str]]:
    """The method to run, and why others of ``all`` cannot explain this classifier."""
    if isinstance(method, Method):
        return method, {}
    if isinstance(method, str) and method != ALL:
        return find(method), {}
    if not isinstance(method, str) and len(method) == 1:
        return _method(classifier, method[0])
    several = methods_with_heat(None if method == ALL else method)
    refused = {one.name: why for one in several if (why := one.refusal(classifier)) is not None}
    if refused and method != ALL:
        raise UsageError(next(iter(refused.values())))
    return MethodSheet(tuple(one for one in several if one.name not in refused)), refused
