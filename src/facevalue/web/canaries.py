"""Images that the page answers first, with Python's answers: so it knows whether they are the same in this browser."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.evidence.card import ModelCard
from facevalue.images.parity import ParityFile, one_per_kind
from facevalue.runtime import Predictor
from facevalue.types import Prediction

KINDS = (
    *("jpeg 4:2:0", "jpeg 4:2:2", "jpeg progressive 4:4:4", "jpeg grey", "jpeg CMYK", "jpeg EXIF orientation 6"),
    *("jpeg ICC display-p3", "png RGB", "png palette transparent", "png alpha", "png grey 16 bits"),
    *("webp lossy", "webp lossless alpha", "webp EXIF orientation 6", "avif", "avif alpha", "gif transparent"),
    "bmp RGB",
)
"""Kinds of drawn files that decoders treat differently; together well below a megabyte."""

CLEAR = 2e-4
"""Distance from every limit below which an answer is not compared: engines differ by up to 1e-4."""


@dataclass(frozen=True)
class Canary:
    """A drawn file and Python's answer.

    Attributes
    ----------
    file : its kind and bytes.
    input : CRC-32 of the network input, (s, s, 3) uint8 RGB.
    prediction : Python's.
    """

    file: ParityFile
    input: int
    prediction: Prediction

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the file's bytes."""
        return {"kind": self.file.kind, "input": self.input, "prediction": self.prediction.to_dict()}


def canaries(predictor: Predictor) -> list[Canary]:
    """The drawn files of :data:`KINDS` with the predictor's answers."""
    return answered(predictor, [file for file in one_per_kind() if file.kind in KINDS])


def answered(predictor: Predictor, files: Iterable[ParityFile]) -> list[Canary]:
    """Files with the predictor's answers, without those whose answer is near a limit, where engines may differ."""
    found = []
    for file in files:
        pixels = predictor.pixels_of(file.data)
        (prediction,), outputs = predictor.predict_pixels(pixels[None])
        if _is_clear(predictor.card, outputs["probabilities"][0], float(outputs["novelty"][0])):
            found.append(Canary(file, crc32(pixels), prediction))
    return found


def crc32(pixels: NDArray[np.uint8]) -> int:
    """CRC-32 of the bytes, as the page computes it."""
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())


def _is_clear(card: ModelCard, p: NDArray[np.floating], novelty: float) -> bool:
    limits, positive = card.abstention, card.positive_index
    winner = int(decision.decide(p[None], positive, card.threshold)[0])
    top = np.sort(p)
    margin = top[-1] - top[-2] if positive is None else abs(p[positive] - card.threshold)
    far = 1.0 if limits.novelty is None else abs(novelty / limits.novelty - 1)
    # Novelty has about two digits less than a probability.
    return bool(margin > CLEAR and abs(p[winner] - limits.confidence) > CLEAR and far > 100 * CLEAR)
