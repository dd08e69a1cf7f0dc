"""Compare each requirement of a policy with the figure on a model's card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.figures import (
    ATTACK_FIGURES,
    CALIBRATION_FIGURES,
    CERTIFICATE_FIGURES,
    CORRUPTION_FIGURES,
    EXPLANATION_FIGURES,
    EXPORT_FIGURES,
    FIGURES,
    LEFT_OUT_FIGURES,
    PROMISES,
    REMADE_FIGURES,
    RUNTIME_FIGURES,
    SOURCE_FIGURES,
    STRANGER_FIGURES,
    Direction,
)
from facevalue.evidence.policy.tables import eps_of, number, table, tables, unknown
from facevalue.evidence.records import (
    AttackReport,
    CalibrationReport,
    CertificateReport,
    CorruptionReport,
    ExplanationReport,
    ExportReport,
    LeftOutReport,
    RemadeReport,
    RuntimeReport,
    SourceReport,
    StrangerReport,
)
from facevalue.support.formats import eps_text

_TABLES = """
    attack export runtimes corruption remade strangers calibration promise explanations sources left_out certificate
""".split()

_SAME_EPS = 1e-4  # of the network input's range: 0.0157 in a policy is 4/255


@dataclass(frozen=True)
class Check:
    """One requirement and the card's figure.

    Attributes
    ----------
    figure : its dotted key in the policy.
    direction : ``at least`` or ``at most`` ``required``.
    required : the policy's value.
    got : the card's value; ``None`` if it has none.
    reason : why the card has no value.
    """

    figure: str
    direction: Direction
    required: float
    got: float | None
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the card has the figure and it meets the requirement."""
        if self.got is None:
            return False
        return self.got >= self.required if self.direction == "at least" else self.got <= self.required

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            "figure": self.figure,
            "direction": self.direction,
            "required": self.required,
            "got": self.got,
            "passed": self.passed,
        }
        return plain if self.reason is None else plain | {"reason": self.reason}


def checked(card: ModelCard, required: Mapping[str, Any]) -> Iterator[Check]:
    """Check each requirement of the table ``[require]``, in the policy's order."""
    split = required.get("split", "test")
    if not isinstance(split, str):
        raise UsageError(f"Expected split to be the name of an evaluation, but got {split!r}")
    report = card.evaluation(split)
    for key, value in required.items():
        if key == "split":
            continue
        if key == "attack":
            for name, wanted in tables(key, value):
                yield from _attack_checks(card, name, wanted)
        elif key == "export":
            for name, wanted in tables(key, value):
                yield from _export_checks(card, name, wanted)
        elif key == "runtimes":
            for precision, wanted in tables(key, value):
                yield from _runtime_checks(card, split, precision, wanted)
        elif key == "corruption":
            yield from _corruption_checks(card, split, table(key, value))
        elif key == "strangers":
            yield from _stranger_checks(card, split, table(key, value))
        elif key == "calibration":
            yield from _calibration_checks(card, split, table(key, value))
        elif key == "promise":
            yield from _promise_checks(card, table(key, value))
        elif key == "remade":
            yield from _remade_checks(card, split, table(key, value))
        elif key == "explanations":
            yield from _explanation_checks(card, split, table(key, value))
        elif key == "sources":
            yield from _source_checks(card, table(key, value))
        elif key == "left_out":
            yield from _left_out_checks(card, table(key, value))
        elif key == "certificate":
            yield from _certificate_checks(card, split, table(key, value))
        elif key in FIGURES:
            figure = FIGURES[key]
            got = None if report is None else figure.of(report)
            reason = None
            if got is None:
                reason = (
                    f"no evaluation on {split!r}" if report is None else f"the evaluation on {split!r} has no {key}"
                )
            yield Check(key, figure.direction, number(key, value), got, reason)
        else:
            raise unknown(key, ["split", *FIGURES, *_TABLES])


def _attack_checks(card: ModelCard, name: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
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


def _export_checks(card: ModelCard, target: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
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


def _runtime_checks(card: ModelCard, split: str, precision: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
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


def _corruption_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    found = [e for e in card.of_kind(CorruptionReport) if e.split == split]
    for key, value in wanted.items():
        if key not in CORRUPTION_FIGURES:
            raise unknown(f"corruption.{key}", list(CORRUPTION_FIGURES))
        got = CORRUPTION_FIGURES[key](found[-1]) if found else None
        reason = None if found else f"no accuracy under everyday corruptions on {split!r}"
        yield Check(f"corruption.{key}", "at least", number(f"corruption.{key}", value), got, reason)


def _stranger_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    # Every report counts: a policy is about all kinds of strangers that were tried.
    found = [e for e in card.of_kind(StrangerReport) if e.split == split]
    for key, value in wanted.items():
        if key not in STRANGER_FIGURES:
            raise unknown(f"strangers.{key}", list(STRANGER_FIGURES))
        of, direction = STRANGER_FIGURES[key]
        figures = [figure for report in found if (figure := of(report)) is not None]
        got = None if not figures else min(figures) if direction == "at least" else max(figures)
        reason = None if figures else f"no strangers were tried beside {split!r}"
        yield Check(f"strangers.{key}", direction, number(f"strangers.{key}", value), got, reason)


def _calibration_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    where, split = wanted.get("condition"), wanted.get("split", split)
    figures = {key: value for key, value in wanted.items() if key not in ("split", "condition")}
    for key in figures:
        if key not in CALIBRATION_FIGURES:
            raise unknown(f"calibration.{key}", ["split", "condition", *CALIBRATION_FIGURES])
    if not figures:
        raise UsageError(f"[require.calibration] needs a figure ({', '.join(CALIBRATION_FIGURES)})")
    reports = [r for r in card.of_kind(CalibrationReport) if r.split == split]
    found = [] if not reports else [f for f in reports[-1].conditions if where in (None, f.condition)]
    for key, value in figures.items():
        of, direction = CALIBRATION_FIGURES[key]
        values = [of(one) for one in found]
        # The worst condition counts. Where one has no figure (nothing was answered), there is none to meet.
        known = [one for one in values if one is not None]
        got = None if len(known) < len(values) or not known else (min if direction == "at least" else max)(known)
        reason = None
        if not found:
            reason = f"no calibration on {split!r}" + ("" if where is None else f" under the condition {where!r}")
        elif got is None:
            reason = f"under a condition nothing is answered, so there is no {key}"
        yield Check(f"calibration.{key}", direction, number(f"calibration.{key}", value), got, reason)


def _promise_checks(card: ModelCard, wanted: Mapping[str, Any]) -> Iterator[Check]:
    for key, value in wanted.items():
        if key not in PROMISES:
            raise unknown(f"promise.{key}", list(PROMISES))
        got = PROMISES[key](card.limits)
        reason = None if got is not None else f"the model promises no {key.replace('_', ' ')}"
        yield Check(f"promise.{key}", "at most", number(f"promise.{key}", value), got, reason)


def _remade_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    found = [e for e in card.of_kind(RemadeReport) if e.split == split]
    for key, value in wanted.items():
        if key not in REMADE_FIGURES:
            raise unknown(f"remade.{key}", list(REMADE_FIGURES))
        of, direction = REMADE_FIGURES[key]
        got = of(found[-1]) if found else None
        reason = None
        if got is None:
            reason = "no image is answered both as it is and re-made" if found else f"no re-made images on {split!r}"
        yield Check(f"remade.{key}", direction, number(f"remade.{key}", value), got, reason)


def _explanation_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    method = wanted.get("method", "gradcam")
    reports = [e for e in card.of_kind(ExplanationReport) if e.split == split]
    found = [figures for report in reports for figures in report.results if figures.method == method]
    for key, value in wanted.items():
        if key == "method":
            continue
        if key not in EXPLANATION_FIGURES:
            raise unknown(f"explanations.{key}", ["method", *EXPLANATION_FIGURES])
        of, direction = EXPLANATION_FIGURES[key]
        got = of(found[-1]) if found else None
        reason = None
        if got is None:
            reason = f"too few images have heat for {key}" if found else f"no faithfulness of {method!r} on {split!r}"
        yield Check(f"explanations.{key}", direction, number(f"explanations.{key}", value), got, reason)


def _source_checks(card: ModelCard, wanted: Mapping[str, Any]) -> Iterator[Check]:
    """The table ``[require.sources]``, on the latest controls."""
    found = card.of_kind(SourceReport)
    for key, value in wanted.items():
        if key not in SOURCE_FIGURES:
            raise unknown(f"sources.{key}", list(SOURCE_FIGURES))
        of, direction = SOURCE_FIGURES[key]
        got = of(found[-1]) if found else None
        reason = None
        if got is None:
            reason = f"the controls of sources cannot tell {key}" if found else "no controls of sources on the card"
        yield Check(f"sources.{key}", direction, number(f"sources.{key}", value), got, reason)


def _left_out_checks(card: ModelCard, wanted: Mapping[str, Any]) -> Iterator[Check]:
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
    for key, value in figures.items():
        of, direction = LEFT_OUT_FIGURES[key]
        values = [got for row in rows if (got := of(row)) is not None]
        worst = None if not values else min(values) if direction == "at least" else max(values)
        reason = None
        if worst is None:
            reason = (
                f"no source was left out by {by!r} under the condition {condition!r}"
                if not rows
                else f"no source that was left out has {key}"
            )
        yield Check(f"left_out.{key}", direction, number(f"left_out.{key}", value), worst, reason)


def _certificate_checks(card: ModelCard, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
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
