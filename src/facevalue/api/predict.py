"""``predict``: predictions on files and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from facevalue.runtime.predictor import open_folder
from facevalue.types import Prediction


def predict(model: Path | str, inputs: Sequence[Path | str], *, heat: bool = False) -> Iterator[Prediction]:
    """Predictions on files and folders, in order; :func:`facevalue.open` is the same without torch."""
    return open_folder(Path(model)).predict([Path(p) for p in inputs], heat=heat)
