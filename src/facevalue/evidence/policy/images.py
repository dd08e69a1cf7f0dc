"""Requirements on corrupted, re-made and strange images, and on certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check, figure_checks, worst
from facevalue.evidence.policy.figures import (
    CERTIFICATE_FIGURES,
    CORRUPTION_FIGURES,
    REMADE_FIGURES,
    STRANGER_FIGURES,
)
from facevalue.evidence.policy.tables import number, unknown
from facevalue.evidence.records import (
    CertificateReport,
    CorruptionReport,
    RemadeReport,
    StrangerReport,
)


def corruption_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.corruption]``: of the latest report."""
    found = [e for e in card.of_kind(CorruptionReport) if e.split == split]
    for key, value in wanted.items():
        if key not in CORRUPTION_FIGURES:
            raise unknown(f"corruption.{key}", list(CORRUPTION_FIGURES))
        got = CORRUPTION_FIGURES[key](found[-1]) if found else None
        reason = None if found else f"no accuracy under everyday corruptions on {split!r}"
        yield Check(f"corruption.{key}", "at least", number(f"corruption.{key}", value), got, reason)


def stranger_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.strangers]``: of the worst set of every report."""
    # Every report counts: a policy is about all kinds of strangers that were tried.
    found = [e for e in card.of_kind(StrangerReport) if e.split == split]
    yield from figure_checks(
        "strangers",
        wanted,
        STRANGER_FIGURES,
        lambda of, direction: worst((got for report in found if (got := of(report)) is not None), direction),
        lambda _: f"no strangers were tried beside {split!r}",
    )


def remade_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.remade]``: of the latest report."""
    found = [e for e in card.of_kind(RemadeReport) if e.split == split]
    yield from figure_checks(
        "remade",
        wanted,
        REMADE_FIGURES,
        lambda of, _: of(found[-1]) if found else None,
        lambda _: "no image is answered both as it is and re-made" if found else f"no re-made images on {split!r}",
    )


def certificate_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """``[require.certificate]``: at the radius that is required."""
    found = [e for e in card.of_kind(CertificateReport) if e.split == split]
    for key in wanted:
        if key not in ("radius", *CERTIFICATE_FIGURES):
            raise unknown(f"certificate.{key}", ["radius", *CERTIFICATE_FIGURES])
    if any(key.startswith("accuracy") for key in wanted) != ("radius" in wanted):
        raise UsageError("[require.certificate] needs radius and accuracy together: accuracy is certified at a radius")
    radius = number("certificate.radius", wanted.get("radius", 0.0))
    for key, value in wanted.items():
        if key == "radius":
            continue
        required = number(f"certificate.{key}", value)
        if not found:
            yield Check(f"certificate.{key}", "at least", required, None, f"no certificate on {split!r}")
            continue
        report = found[-1]
        # Images certified at a larger radius are certified at this one too.
        point = min((p for p in report.curve if p.radius >= radius - 1e-9), key=lambda p: p.radius, default=None)
        figures: dict[str, float | None] = {
            "n": report.n,
            "mean_radius": report.mean_radius,
            "accuracy": None if point is None else point.accuracy,
            "accuracy_lower": None if point is None else point.accuracy_ci[0],
        }
        got = figures[key]
        reason = f"the certificate's curve ends below a radius of {radius:g}" if got is None else None
        yield Check(f"certificate.{key}", "at least", required, got, reason)
