"""Canaries: a few images with the model's predictions, kept in a model folder to ask again on any machine.

``canaries.zip`` holds the image files and ``predictions.json``. If another machine, processor or library version
predicts something else for the same bytes, the folder's figures do not hold there.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevalue.errors import ModelFolderError
from facevalue.runtime.base import ImagePredictor
from facevalue.support import files
from facevalue.types import Prediction

BYTES = 2 * 10**6
"""The image files together have at most this size."""

TOLERANCE = 1e-4
"""Largest difference of a probability that counts as the same: the bound of exported files."""

NOVELTY_TOLERANCE = 1e-2
"""As a share of the novelty, which sums squares and so has fewer exact digits."""

_PREDICTIONS = "predictions.json"


@dataclass(frozen=True)
class CanaryResult:
    """Predictions of canaries on this machine beside the kept ones.

    Attributes
    ----------
    n : number of images.
    largest_difference : of a probability.
    differing : what differs, a line per image.
    """

    n: int
    largest_difference: float
    differing: tuple[str, ...]


def write_canaries(predictor: ImagePredictor, images: Iterable[tuple[str, bytes]], path: Path) -> int:
    """Predict images and keep them with their predictions; returns how many were kept.

    Parameters
    ----------
    images : names and image files, the most useful first. A file that would exceed :data:`BYTES` is skipped.
    """
    kept: dict[str, bytes] = {}
    size = 0
    for name, data in images:
        if size + len(data) <= BYTES and name not in kept:
            kept[name] = data
            size += len(data)
    expected = [_facts(predictor.predict_bytes(data, name)) for name, data in kept.items()]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's own time, so that the same images give the same bytes.
        archive.writestr(zipfile.ZipInfo(_PREDICTIONS), json.dumps(expected, indent=1, ensure_ascii=False))
        for name, data in kept.items():
            archive.writestr(zipfile.ZipInfo(f"images/{name}"), data)
    with files.replacing_file(path) as partial:
        partial.write_bytes(packed.getvalue())
    return len(kept)


def check_canaries(predictor: ImagePredictor, path: Path) -> CanaryResult:
    """Predict the canaries again and compare.

    Raises
    ------
    ModelFolderError
        The file is damaged.
    """
    differing, largest = [], 0.0
    expected = _read(path)
    for facts, data in expected:
        got = predictor.predict_bytes(data, facts["path"])
        difference = max(
            (abs(got.probabilities.get(label, 2.0) - p) for label, p in facts["probabilities"].items()), default=0.0
        )
        largest = max(largest, difference)
        if text := _difference(got, facts, difference):
            differing.append(f"{facts['path']}: {text}")
    return CanaryResult(len(expected), largest, tuple(differing))


def _difference(got: Prediction, facts: dict[str, Any], difference: float) -> str:
    if got.error != facts["error"]:
        return f"expected {facts['error'] or 'a prediction'}, but got {got.error or 'a prediction'}"
    if difference > TOLERANCE:
        return f"a probability differs by {difference:.2g}"
    if got.label != facts["label"] or list(got.reasons) != facts["reasons"]:
        return f"expected {_named(facts['label'], facts['reasons'])}, but got {_named(got.label, got.reasons)}"
    if facts["novelty"] is not None and got.novelty is not None:
        away = abs(got.novelty - facts["novelty"])
        if away > NOVELTY_TOLERANCE * max(1.0, facts["novelty"]):
            return f"novelty is {got.novelty:.4g} instead of {facts['novelty']:.4g}"
    return ""


def _named(label: str | None, reasons: Sequence[str]) -> str:
    return repr(label) if label is not None else f"no answer ({', '.join(reasons)})"


def _facts(prediction: Prediction) -> dict[str, Any]:
    kept = ("path", "label", "probabilities", "reasons", "novelty", "error")
    return {name: value for name, value in prediction.to_dict().items() if name in kept}


def _read(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [
                (facts, archive.read(f"images/{facts['path']}")) for facts in json.loads(archive.read(_PREDICTIONS))
            ]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error
