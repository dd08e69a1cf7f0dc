"""What a card and a model file say of how a model stands up: under attack, under corruption, and in time."""

from __future__ import annotations

import io
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import AttackFigures, AttackReport, CertificateReport, CorruptionReport
from facevalue.runtime import open_folder
from facevalue.support.formats import eps_text

LEVELS = (1, 2, 4, 8)
"""Robust accuracy is shown at these eps, in 255ths, linf."""

_SAME_EPS = 1e-6
_TIMED, _WARM = 20, 3


def standing(folder: Path, card: ModelCard) -> dict[str, Any]:
    """Figures for a comparison; ``None`` where nothing was measured.

    Returns
    -------
    ``robust_accuracy`` by eps (the worst attack on the card, linf, of the model itself) with ``robust_attack``, the one
    that left it; ``corruption_accuracy``, the mean over everyday corruptions; ``certified_radius``, the mean in L2;
    ``milliseconds``, the median for one image of 256 x 256 from file bytes to prediction by ``model.onnx`` in the
    runtime, on ``milliseconds_n`` images one by one.
    """
    worst = {eps_text(level / 255): worst_at(card, level / 255) for level in LEVELS}
    corruption = [e for e in card.evidence if isinstance(e, CorruptionReport)]
    proven = [e for e in card.evidence if isinstance(e, CertificateReport)]
    return {
        "robust_accuracy": {eps: None if row is None else row.robust_accuracy for eps, row in worst.items()},
        "robust_attack": {eps: None if row is None else row.attack for eps, row in worst.items()},
        "corruption_accuracy": corruption[-1].mean_accuracy if corruption else None,
        "certified_radius": proven[-1].mean_radius if proven else None,
        "milliseconds": milliseconds(folder),
        "milliseconds_n": _TIMED,
    }


def worst_at(card: ModelCard, eps: float, norm: str = "linf") -> AttackFigures | None:
    """The attack on the model itself that left the least at this eps; ``None`` where there was none."""
    found = [
        row
        for report in card.evidence
        if isinstance(report, AttackReport)
        for row in report.results
        if row.norm == norm and abs(row.eps - eps) < _SAME_EPS and row.speaks_of_model
    ]
    return min(found, key=lambda row: row.robust_accuracy, default=None)


def milliseconds(folder: Path) -> float:
    """The median time for one image, in ms. The image is noise: what it shows makes no difference to the time."""
    predictor = open_folder(folder)
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=90)
    times = []
    for i in range(_WARM + _TIMED):
        start = time.perf_counter()
        predictor.predict_bytes(buffer.getvalue())
        if i >= _WARM:
            times.append(1000 * (time.perf_counter() - start))
    return median(times)
