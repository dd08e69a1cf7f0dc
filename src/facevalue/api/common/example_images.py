"""Draws test images that a model gets right, gets wrong and abstains on, with what led to its answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from facevalue.errors import UsageError
from facevalue.evidence.card import MANIFEST, ModelCard
from facevalue.explanations.overlay import side_by_side
from facevalue.runtime import Predictor, open_folder
from facevalue.support.formats import percent
from facevalue.types import Prediction

Kind = Literal["wrong", "right", "abstained"]

KINDS: tuple[Kind, ...] = ("wrong", "right", "abstained")
"""In the order in which the page shows them."""

_BATCH = 16


def draw_examples(folder: Path, n: int, target: Path, most: int = 2000) -> list[tuple[Path, str]]:
    """Draw at most ``n`` test images of each kind into ``target``; returns the files with their captions.

    The images are tried in the order of their SHA-256, so the choice is the same every time and no one's favourite.

    Parameters
    ----------
    folder : a model folder whose test images are still where they were.
    most : images that are predicted at most.

    Raises
    ------
    UsageError
        No test image is left.
    """
    card = ModelCard.load(folder)
    rows = pd.read_parquet(card.checked_file(folder, MANIFEST))
    rows = rows[(rows["split"] == "test") & (rows["error"] == "")].sort_values("sha256")
    pairs = zip(rows["path"].astype(str), rows["label"].astype(str), strict=True)
    there = [(path, label) for path, label in pairs if Path(path).is_file()][:most]
    if not there:
        raise UsageError(f"no test image of {folder} is where it was, so there are no `examples`")
    found: dict[Kind, list[tuple[Path, str]]] = {kind: [] for kind in KINDS}
    predictor = open_folder(folder)
    for start in range(0, len(there), _BATCH):
        for path, label, prediction in _predicted(predictor, there[start : start + _BATCH]):
            kind = _kind(prediction, label)
            if len(found[kind]) < n:
                file = target / f"{kind}-{len(found[kind])}.png"
                caption = _caption(prediction, kind, label)
                _drawn(predictor, path, prediction).save(file)
                found[kind].append((file, caption))
        if all(len(files) == n for files in found.values()):
            break
    return [example for kind in KINDS for example in found[kind]]


def _predicted(predictor: Predictor, rows: list[tuple[str, str]]) -> Iterator[tuple[str, str, Prediction]]:
    predictions = predictor.predict([Path(path) for path, _ in rows], heat=True)
    for (path, label), prediction in zip(rows, predictions, strict=True):
        if prediction.error is None and prediction.probabilities:
            yield path, label, prediction


def _kind(prediction: Prediction, label: str) -> Kind:
    if prediction.label is None:
        return "abstained"
    return "right" if prediction.label == label else "wrong"


def _caption(prediction: Prediction, kind: Kind, label: str) -> str:
    leaning = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
    name = prediction.label if prediction.label is not None else leaning
    share = percent(prediction.probabilities[name])
    if kind == "abstained":
        return f"{label}: no answer ({', '.join(prediction.reasons)}), leans to {name} with {share}"
    return f"{label}: {name} with {share}, {kind}"


def _drawn(predictor: Predictor, path: str, prediction: Prediction) -> Image.Image:
    """The network input, with the heat beside it where the network has one."""
    pixels = predictor.inputs_of((path, Path(path)))[0].pixels
    assert pixels is not None
    if prediction.heat is None:
        return Image.fromarray(pixels)
    fine = Image.fromarray(np.round(255 * prediction.heat).astype(np.uint8))
    heat = np.asarray(fine.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BICUBIC)) / 255
    return side_by_side(pixels, heat, "")
