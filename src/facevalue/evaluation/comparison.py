"""The figures of a model comparison: accuracy, robustness, size and time."""

from __future__ import annotations

import io
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from facevalue.evidence.card import ModelCard
from facevalue.evidence.record import Record
from facevalue.evidence.records import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CorruptionReport,
    Interval,
)
from facevalue.runtime import open_folder
from facevalue.support.formats import eps_text

LEVELS = (1, 2, 4, 8)
"""Robust accuracy is shown at these values of eps (linf), in units of 1/255."""

_SAME_EPS = 1e-6
_TIMED, _WARM = 20, 3


class ComparedModel(Record, frozen=True):
    """One model of a comparison; figures that were not measured are ``None``.

    Attributes
    ----------
    gap : accuracy on train minus accuracy on test.
    robust_accuracy : by eps (linf), under the strongest attack on the card against the model without a defence.
    robust_attack : that attack, by eps.
    corruption_accuracy : mean over the everyday corruptions.
    certified_radius : mean certified L2 radius.
    milliseconds : median time for one image of 256 x 256 pixels, from file bytes to prediction by ``model.onnx``, over
        ``milliseconds_n`` single images; ``None`` for a model in memory.
    """

    model: str
    network: str
    method: str | None
    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    test_accuracy_ci: Interval | None
    gap: float | None
    parameters: int
    seconds_per_epoch: float | None
    ece: float | None
    coverage: float | None
    robust_accuracy: dict[str, float | None]
    robust_attack: dict[str, str | None]
    corruption_accuracy: float | None
    certified_radius: float | None
    milliseconds: float | None
    milliseconds_n: int


def compared(name: str, card: ModelCard, folder: Path | None) -> ComparedModel:
    """The figures of one model.

    Parameters
    ----------
    folder : model folder, to measure the time of ``model.onnx``; ``None`` for a model in memory.
    """
    worst = {eps_text(level / 255): worst_at(card, level / 255) for level in LEVELS}
    corruption, proven = card.of_kind(CorruptionReport), card.of_kind(CertificateReport)
    accuracy = {s: None if (e := card.evaluation(s)) is None else e.accuracy for s in ("train", "validation", "test")}
    test, on_train, on_test = card.evaluation("test"), accuracy["train"], accuracy["test"]
    return ComparedModel(
        model=name,
        network=card.network.name,
        method=card.recipe.get("method"),
        train_accuracy=on_train,
        validation_accuracy=accuracy["validation"],
        test_accuracy=on_test,
        test_accuracy_ci=test.accuracy_ci if test else None,
        gap=None if on_train is None or on_test is None else on_train - on_test,
        parameters=card.network.parameters,
        seconds_per_epoch=card.seconds_per_epoch,
        ece=test.ece if test else None,
        coverage=test.coverage if test else None,
        robust_accuracy={eps: None if row is None else row.robust_accuracy for eps, row in worst.items()},
        robust_attack={eps: None if row is None else row.attack for eps, row in worst.items()},
        corruption_accuracy=corruption[-1].mean_accuracy if corruption else None,
        certified_radius=proven[-1].mean_radius if proven else None,
        milliseconds=None if folder is None else milliseconds(folder),
        milliseconds_n=_TIMED,
    )


def worst_at(card: ModelCard, eps: float, norm: str = "linf") -> AttackFigures | None:
    """The attack with the lowest robust accuracy at this eps, without a defence; ``None`` if there is none."""
    found = [
        row
        for report in card.of_kind(AttackReport)
        for row in report.results
        if row.norm == norm and abs(row.eps - eps) < _SAME_EPS and row.speaks_of_model
    ]
    return min(found, key=lambda row: row.robust_accuracy, default=None)


def milliseconds(folder: Path) -> float:
    """The median time for one image, in ms. The image is noise, because the content does not change the time."""
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
