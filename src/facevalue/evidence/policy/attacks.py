"""Requirements on attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check
from facevalue.evidence.policy.figures import (
    ATTACK_FIGURES,
)
from facevalue.evidence.policy.tables import eps_of, number, unknown
from facevalue.evidence.records import (
    AttackReport,
)
from facevalue.support.formats import eps_text

_SAME_EPS = 1e-4  # of the network input's range: 0.0157 in a policy is 4/255


def attack_checks(card: ModelCard, _split: str, name: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.attack.NAME]``: of the nearest eps that is at least as large."""
    where = f"attack.{name}"
    norm, eps = wanted.get("norm", "linf"), wanted.get("eps")
    figures = {key: value for key, value in wanted.items() if key not in ("norm", "eps")}
    for key in figures:
        if key not in ATTACK_FIGURES:
            raise unknown(f"{where}.{key}", ["norm", "eps", *ATTACK_FIGURES])
    if eps is None or not figures:
        raise UsageError(f"[require.{where}] needs eps and a figure ({', '.join(ATTACK_FIGURES)})")
    eps = eps_of(f"{where}.eps", eps)
    # An attack at a larger eps is stronger, so its figure counts too. Take the nearest eps, then the latest attack.
    found = [
        f
        for report in card.of_kind(AttackReport)
        for f in report.results
        if f.attack == name and f.norm == norm and f.eps >= eps - _SAME_EPS and f.speaks_of_model
    ]
    nearest = min((f.eps for f in found), default=None)
    latest = next((f for f in reversed(found) if f.eps == nearest), None)
    for key, value in figures.items():
        got = None if latest is None else ATTACK_FIGURES[key](latest)
        reason = f"no {name} with {norm} at eps {eps_text(eps, norm)} or above on the card" if latest is None else None
        yield Check(f"{where}.{key}", "at least", number(f"{where}.{key}", value), got, reason)
