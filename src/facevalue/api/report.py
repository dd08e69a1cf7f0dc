"""``report``: the model card as one page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from facevalue.api.common.documents import write_documents
from facevalue.api.common.model_folder import updating
from facevalue.errors import UsageError
from facevalue.reports.model_page import write_report


def report(model: Path | str, output: Path | str | None = None, *, examples: int = 0) -> Path:
    """Write the card of a model folder as one self-contained page; returns its path.

    Parameters
    ----------
    output : path of the page. By default the page, the model card ``README.md`` and the bill of materials
        ``bom.cdx.json`` are written in the folder.
    examples : show so many test images that the model gets right, as many that it gets wrong and as many on which it
        abstains, each with its heat map where there is one. The page then holds copies of these images, so it needs an
        ``output`` of its own.

    Raises
    ------
    UsageError
        ``model`` is not a model folder, ``examples`` is negative or has no ``output``, or no test image is left.
    """
    folder = Path(model)
    if examples < 0:
        raise UsageError(f"Expected `examples` of at least 0, but got {examples}")
    if output is None:
        if examples:
            raise UsageError("a page with `examples` holds copies of test images; name it with `output`")
        with updating(folder):
            return write_documents(folder)
    if not examples:
        return write_report(folder, Path(output))
    from facevalue.api.common.example_images import draw_examples

    with tempfile.TemporaryDirectory(prefix="facevalue-") as temporary:
        return write_report(folder, Path(output), draw_examples(folder, examples, Path(temporary)))
