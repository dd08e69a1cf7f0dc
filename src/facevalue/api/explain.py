"""``explain``: what in an image spoke for the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facevalue.explanations import explain_files
from facevalue.models.classifier import load


def explain(
    model: Path | str, images: Sequence[Path | str], output: Path | str, *, method: str = "gradcam"
) -> dict[str, Any]:
    """Images of what the model looked at; returns the files written and how faithful they are."""
    return explain_files(load(Path(model)), [Path(p) for p in images], Path(output), method)
