"""Compare each requirement of a policy with the figure on a model's card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.answers import calibration_checks, explanation_checks, promise_checks
from facevalue.evidence.policy.attacks import attack_checks
from facevalue.evidence.policy.check import Check
from facevalue.evidence.policy.exports import export_checks, runtime_checks
from facevalue.evidence.policy.figures import (
    FIGURES,
)
from facevalue.evidence.policy.images import certificate_checks, corruption_checks, remade_checks, stranger_checks
from facevalue.evidence.policy.sources import left_out_checks, source_checks
from facevalue.evidence.policy.tables import number, table, tables, unknown

Judge = Callable[[ModelCard, str, Mapping[str, Any]], Iterator[Check]]
"""Checks one table on the evaluation of a split."""

NAMED_TABLES: dict[str, Callable[[ModelCard, str, str, Mapping[str, Any]], Iterator[Check]]] = {
    "attack": attack_checks,
    "export": export_checks,
    "runtimes": runtime_checks,
}
"""``[require.KEY.NAME]``, by key."""

TABLES: dict[str, Judge] = {
    "corruption": corruption_checks,
    "remade": remade_checks,
    "strangers": stranger_checks,
    "calibration": calibration_checks,
    "promise": promise_checks,
    "explanations": explanation_checks,
    "sources": source_checks,
    "left_out": left_out_checks,
    "certificate": certificate_checks,
}
"""``[require.KEY]``, by key."""


_ABOVE_1 = frozenset(
    """
    n nll nll_upper brier brier_upper unreadable warnings sources mean_radius radius answers_changed pixel_differences
    """.split()
)
"""Figures that are no rates."""


def checked(card: ModelCard, required: Mapping[str, Any]) -> Iterator[Check]:
    """Check each requirement of the table ``[require]``, in the policy's order."""
    split = required.get("split", "test")
    if not isinstance(split, str):
        raise UsageError(f"Expected split to be the name of an evaluation, but got {split!r}")
    yield from map(_in_range, _checks(card, split, required))


def _in_range(check: Check) -> Check:
    """Raise ``UsageError`` for a rate above 1: a percentage would let every model pass, or none."""
    if check.required > 1 and check.figure.rpartition(".")[2] not in _ABOVE_1:
        raise UsageError(f"Expected {check.figure} to be a rate in [0, 1], but got {check.required:g}; 3 % is 0.03")
    return check


def _checks(card: ModelCard, split: str, required: Mapping[str, Any]) -> Iterator[Check]:
    for key, value in required.items():
        if key in NAMED_TABLES:
            for name, wanted in tables(key, value):
                yield from NAMED_TABLES[key](card, split, name, wanted)
        elif key in TABLES:
            yield from TABLES[key](card, split, table(key, value))
        elif key in FIGURES:
            yield _figure_check(card, split, key, value)
        elif key != "split":
            raise unknown(key, ["split", *FIGURES, *NAMED_TABLES, *TABLES])


def _figure_check(card: ModelCard, split: str, key: str, value: object) -> Check:
    figure, report = FIGURES[key], card.evaluation(split)
    got = None if report is None else figure.of(report)
    reason = None
    if got is None:
        reason = f"no evaluation on {split!r}" if report is None else f"the evaluation on {split!r} has no {key}"
    return Check(key, figure.direction, number(key, value), got, reason)
