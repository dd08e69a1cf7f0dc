"""Requirements on probabilities, promises and explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check, figure_checks, worst
from facevalue.evidence.policy.figures import (
    CALIBRATION_FIGURES,
    EXPLANATION_FIGURES,
    PROMISES,
    Direction,
)
from facevalue.evidence.policy.tables import number, unknown
from facevalue.evidence.records import (
    CalibrationReport,
    ConditionFigures,
    ExplanationReport,
)


def calibration_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.calibration]``: of the worst condition, or of the one that is named."""
    where, split = wanted.get("condition"), wanted.get("split", split)
    figures = {key: value for key, value in wanted.items() if key not in ("split", "condition")}
    for key in figures:
        if key not in CALIBRATION_FIGURES:
            raise unknown(f"calibration.{key}", ["split", "condition", *CALIBRATION_FIGURES])
    if not figures:
        raise UsageError(f"[require.calibration] needs a figure ({', '.join(CALIBRATION_FIGURES)})")
    reports = [r for r in card.of_kind(CalibrationReport) if r.split == split]
    found = [] if not reports else [f for f in reports[-1].conditions if where in (None, f.condition)]

    def got(of: Callable[[ConditionFigures], float | None], direction: Direction) -> float | None:
        values = [of(one) for one in found]
        # The worst condition counts. Where one has no figure (nothing was answered), there is none to meet.
        known = [one for one in values if one is not None]
        return None if len(known) < len(values) else worst(known, direction)

    def why(key: str) -> str:
        if found:
            return f"under a condition nothing is answered, so there is no {key}"
        return f"no calibration on {split!r}" + ("" if where is None else f" under the condition {where!r}")

    yield from figure_checks("calibration", figures, CALIBRATION_FIGURES, got, why)


def promise_checks(card: ModelCard, _split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.promise]``: what the model promises of its answers."""
    for key, value in wanted.items():
        if key not in PROMISES:
            raise unknown(f"promise.{key}", list(PROMISES))
        got = PROMISES[key](card.limits)
        reason = None if got is not None else f"the model promises no {key.replace('_', ' ')}"
        yield Check(f"promise.{key}", "at most", number(f"promise.{key}", value), got, reason)


def explanation_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.explanations]``: of one method, Grad-CAM by default."""
    method = wanted.get("method", "gradcam")
    reports = [e for e in card.of_kind(ExplanationReport) if e.split == split]
    found = [figures for report in reports for figures in report.results if figures.method == method]
    yield from figure_checks(
        "explanations",
        {key: value for key, value in wanted.items() if key != "method"},
        EXPLANATION_FIGURES,
        lambda of, _: of(found[-1]) if found else None,
        lambda key: f"too few images have heat for {key}" if found else f"no faithfulness of {method!r} on {split!r}",
        options=["method"],
    )
