"""Requirements on exported files and runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check
from facevalue.evidence.policy.figures import (
    EXPORT_FIGURES,
    RUNTIME_FIGURES,
)
from facevalue.evidence.policy.tables import number, unknown
from facevalue.evidence.records import (
    ExportReport,
    RuntimeReport,
)


def export_checks(card: ModelCard, _split: str, target: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.export.TARGET]``: of the latest file."""
    where = f"export.{target}"
    found = [e for e in card.of_kind(ExportReport) if e.target == target]
    if not wanted:
        raise UsageError(f"[require.{where}] needs a figure ({', '.join(EXPORT_FIGURES)})")
    for key, value in wanted.items():
        if key not in EXPORT_FIGURES:
            raise unknown(f"{where}.{key}", list(EXPORT_FIGURES))
        of, direction = EXPORT_FIGURES[key]
        reason = None if found else f"no export to {target} on the card"
        yield Check(f"{where}.{key}", direction, number(key, value), of(found[-1]) if found else None, reason)


def runtime_checks(card: ModelCard, split: str, precision: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.runtimes.PRECISION]``: of the worst runtime."""
    where, targets = f"runtimes.{precision}", wanted.get("targets", [])
    figures = {key: value for key, value in wanted.items() if key != "targets"}
    for key in figures:
        if key not in RUNTIME_FIGURES:
            raise unknown(f"{where}.{key}", ["targets", *RUNTIME_FIGURES])
    if not figures:
        raise UsageError(f"[require.{where}] needs a figure ({', '.join(RUNTIME_FIGURES)})")
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        raise UsageError(f"Expected {where}.targets to be a list of names, but got {targets!r}")
    reports = [r for r in card.of_kind(RuntimeReport) if r.split == split]
    measured = [f for f in reports[-1].runtimes if f.precision == precision] if reports else []
    absent = [name for name in targets if name not in {f.target for f in measured}]
    rows = [f for f in measured if f.target in targets or not targets]
    reason = None
    if not rows or absent:
        missing = ", ".join(f"{name} {precision}" for name in absent) or f"runtime with {precision}"
        reason = f"no {missing} among the runtimes certified on {split!r}"
    for key, value in figures.items():
        of, direction = RUNTIME_FIGURES[key]
        worst = min if direction == "at least" else max
        got = None if reason else worst(of(row) for row in rows)
        yield Check(f"{where}.{key}", direction, number(f"{where}.{key}", value), got, reason)
