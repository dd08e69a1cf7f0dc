"""Requirements on the controls of sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check, figure_checks, worst
from facevalue.evidence.policy.figures import (
    LEFT_OUT_FIGURES,
    SOURCE_FIGURES,
)
from facevalue.evidence.policy.tables import unknown
from facevalue.evidence.records import (
    LeftOutReport,
    SourceReport,
)


def source_checks(card: ModelCard, _split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """The table ``[require.sources]``, on the latest controls."""
    found = card.of_kind(SourceReport)
    yield from figure_checks(
        "sources",
        wanted,
        SOURCE_FIGURES,
        lambda of, _: of(found[-1]) if found else None,
        lambda key: f"the controls of sources cannot tell {key}" if found else "no controls of sources on the card",
    )


def left_out_checks(card: ModelCard, _split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """The table ``[require.left_out]``: the worst source, as the images are or under ``condition``."""
    by, condition = wanted.get("by", "source"), wanted.get("condition", "clean")
    figures = {key: value for key, value in wanted.items() if key not in ("by", "condition")}
    for key in figures:
        if key not in LEFT_OUT_FIGURES:
            raise unknown(f"left_out.{key}", ["by", "condition", *LEFT_OUT_FIGURES])
    if not figures:
        raise UsageError(f"[require.left_out] needs a figure ({', '.join(LEFT_OUT_FIGURES)})")
    reports = [r for r in card.of_kind(LeftOutReport) if r.by == by]
    rows = reports[-1].of(condition) if reports else ()
    yield from figure_checks(
        "left_out",
        figures,
        LEFT_OUT_FIGURES,
        lambda of, direction: worst((got for row in rows if (got := of(row)) is not None), direction),
        lambda key: (
            f"no source that was left out has {key}"
            if rows
            else f"no source was left out by {by!r} under the condition {condition!r}"
        ),
    )
