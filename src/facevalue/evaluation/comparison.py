"""The figures of a model comparison: accuracy, robustness, size and time."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding, named
from facevalue.evidence.record import Record
from facevalue.evidence.records import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CorruptionReport,
    Evidence,
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
    classes : in the order of the model.
    test_n, test_fingerprint : number and fingerprint of the test images.
    gap : accuracy on train minus accuracy on test.
    robust_accuracy : by eps (linf), under the strongest attack on the card against the model without a defence.
    robust_attack : that attack, by eps.
    corruption_accuracy : mean over the everyday corruptions.
    certified_radius : mean certified L2 radius.
    milliseconds : median time for one image of 256 x 256 pixels, from file bytes to prediction by ``model.onnx``, over
        ``milliseconds_n`` single images; ``None`` for a model in memory.
    warnings : what makes its figures incomparable with those of the first model.
    """

    model: str
    network: str
    method: str | None
    classes: tuple[str, ...]
    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    test_accuracy_ci: Interval | None
    test_n: int | None
    test_fingerprint: str | None
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
    warnings: tuple[Finding, ...] = ()


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
        classes=card.classes,
        train_accuracy=on_train,
        validation_accuracy=accuracy["validation"],
        test_accuracy=on_test,
        test_accuracy_ci=test.accuracy_ci if test else None,
        test_n=test.n if test else None,
        test_fingerprint=test.provenance.fingerprint if test else None,
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


def incomparable(first: tuple[str, ModelCard], second: tuple[str, ModelCard]) -> Iterator[Finding]:
    """What makes the figures of two models, each with its name, incomparable."""
    (name, card), (other, other_card) = first, second
    if set(card.classes) != set(other_card.classes):
        text = (
            f"{name} and {other} have different classes, so their accuracies answer different questions: "
            f"{_short(card.classes)} against {_short(other_card.classes)}"
        )
        yield finding("models-differ-in-classes", text, models=(name, other))
    if card.inputs != other_card.inputs:
        text = (
            f"{name} makes an answer from {card.inputs} network input{'s' * (card.inputs != 1)}, {other} from "
            f"{other_card.inputs}: accuracy, coverage and time are of these answers, robust accuracy and certified "
            "radius of single network inputs"
        )
        yield finding("models-differ-in-inputs", text, models=(name, other), inputs=(card.inputs, other_card.inputs))
    for what, images, other_images in (
        ("the test accuracies", _of(card.evaluation("test")), _of(other_card.evaluation("test"))),
        ("the accuracies under corruption", _last(card, CorruptionReport), _last(other_card, CorruptionReport)),
        ("the certified radii", _last(card, CertificateReport), _last(other_card, CertificateReport)),
    ):
        if images is not None and other_images is not None and images[0] != other_images[0]:
            text = (
                f"{what} of {name} and {other} were measured on different images ({images[1]} and {other_images[1]}), "
                "so a difference may come from the images; evaluate both on the same ones"
            )
            yield finding("compared-on-different-images", text, models=(name, other), figure=what)
    differ = [eps_text(level / 255) for level in LEVELS if _attacked_differently(card, other_card, level / 255)]
    if differ:
        text = (
            f"{name} and {other} were not attacked in the same way at {', '.join(differ)}: with other attacks or on "
            "other images; attack both in the same way before you compare their robust accuracy"
        )
        yield finding("compared-under-different-attacks", text, models=(name, other), eps=tuple(differ))


def _of(evidence: Evidence | None) -> tuple[str, int] | None:
    return None if evidence is None else (evidence.provenance.fingerprint, evidence.n)


def _last(card: ModelCard, kind: type[Evidence]) -> tuple[str, int] | None:
    return _of(next(reversed(card.of_kind(kind)), None))


def _attacked_differently(card: ModelCard, other: ModelCard, eps: float) -> bool:
    attacks, others = ({(r.attack, images) for r, images in _attacks_at(c, eps)} for c in (card, other))
    return bool(attacks) and bool(others) and attacks != others


def _short(classes: Sequence[str]) -> str:
    return named(sorted(classes))


def _attacks_at(card: ModelCard, eps: float, norm: str = "linf") -> Iterator[tuple[AttackFigures, str]]:
    """The attacks at this eps on the model without a defence, each with the fingerprint of its images."""
    for report in card.of_kind(AttackReport):
        for row in report.results:
            if row.norm == norm and abs(row.eps - eps) < _SAME_EPS and row.speaks_of_model:
                yield row, report.provenance.fingerprint


def worst_at(card: ModelCard, eps: float, norm: str = "linf") -> AttackFigures | None:
    """The attack with the lowest robust accuracy at this eps, without a defence; ``None`` if there is none."""
    found = [row for row, _ in _attacks_at(card, eps, norm)]
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
