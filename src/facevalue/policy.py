"""Does a model meet the figures that somebody requires? Asked of its card, so that it costs nothing."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from facevalue.card import Card
from facevalue.errors import UsageError
from facevalue.evidence import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CorruptionReport,
    ExportReport,
    Report,
)

Direction = Literal["at least", "at most"]


@dataclass(frozen=True)
class Figure:
    """A figure of an evaluation that a policy may require.

    Attributes
    ----------
    of : reads it off a report; ``None`` where the report does not have it.
    direction : whether the requirement is a floor or a ceiling.
    meaning : for the documentation and for messages.
    """

    of: Callable[[Report], float | None]
    direction: Direction
    meaning: str


def _end(ends: tuple[float, float] | None, which: int) -> float | None:
    return None if ends is None else ends[which]


FIGURES: dict[str, Figure] = {
    "n": Figure(lambda r: r.n, "at least", "pictures evaluated"),
    "accuracy": Figure(lambda r: r.accuracy, "at least", "accuracy"),
    "accuracy_lower": Figure(lambda r: r.accuracy_ci[0], "at least", "lower end of accuracy's interval"),
    "balanced_accuracy": Figure(lambda r: r.balanced_accuracy, "at least", "mean recall of the classes"),
    "balanced_accuracy_lower": Figure(lambda r: r.balanced_accuracy_ci[0], "at least", "lower end of its interval"),
    "recall": Figure(lambda r: min(r.recall.values(), default=None), "at least", "recall of the worst class"),
    "recall_lower": Figure(
        lambda r: min((ends[0] for ends in r.recall_ci.values()), default=None),
        "at least",
        "lowest lower end of a class's recall interval",
    ),
    "auroc": Figure(lambda r: r.auroc, "at least", "area under the ROC curve"),
    "auroc_lower": Figure(lambda r: _end(r.auroc_ci, 0), "at least", "lower end of its interval"),
    "average_precision": Figure(lambda r: r.average_precision, "at least", "average precision"),
    "coverage": Figure(lambda r: r.coverage, "at least", "share of pictures answered"),
    "accuracy_answered": Figure(lambda r: r.accuracy_answered, "at least", "accuracy among the answered"),
    "accuracy_answered_lower": Figure(
        lambda r: _end(r.accuracy_answered_ci, 0), "at least", "lower end of its interval"
    ),
    "ece": Figure(lambda r: r.ece, "at most", "expected calibration error"),
    "ece_upper": Figure(lambda r: r.ece_ci[1], "at most", "upper end of its interval"),
    "brier": Figure(lambda r: r.brier, "at most", "Brier score"),
    "nll": Figure(lambda r: r.nll, "at most", "negative log-likelihood, nats"),
    "unreadable": Figure(lambda r: len(r.unreadable), "at most", "files that could not be read"),
    "warnings": Figure(lambda r: len(r.warnings), "at most", "warnings on the evaluation"),
}

ATTACK_FIGURES: dict[str, Callable[[AttackFigures], float]] = {
    "n": lambda f: f.n,
    "robust": lambda f: f.robust_accuracy,
    "robust_lower": lambda f: f.robust_ci[0],
}
"""What ``[require.attack.NAME]`` knows beside ``norm`` and ``eps``; all are floors."""

EXPORT_FIGURES: dict[str, tuple[Callable[[ExportReport], float], Direction]] = {
    "n": (lambda e: e.n, "at least"),
    "label_agreement": (lambda e: e.label_agreement, "at least"),
    "max_probability_difference": (lambda e: e.max_probability_difference, "at most"),
}
"""What ``[require.export.TARGET]`` knows."""

DAMAGE_FIGURES: dict[str, Callable[[CorruptionReport], float | None]] = {
    "n": lambda r: r.n,
    "mean_accuracy": lambda r: r.mean_accuracy,
    "accuracy": lambda r: min((f.accuracy for f in r.results), default=None),
    "accuracy_lower": lambda r: min((f.accuracy_ci[0] for f in r.results), default=None),
}
"""What ``[require.damage]`` knows, all floors: of the worst damage at its worst strength but for the mean."""

CERTIFICATE_FIGURES = ("n", "mean_radius", "accuracy", "accuracy_lower")
"""What ``[require.certificate]`` knows beside ``radius``, all floors."""

_SAME_EPS = 1e-4  # of the square's range: 0.0157 in a policy is 4/255


@dataclass(frozen=True)
class Check:
    """One requirement beside what the card has.

    Attributes
    ----------
    figure : its key in the policy, dotted.
    direction : ``at least`` or ``at most`` ``required``.
    required : the policy's value.
    got : the card's, ``None`` where it has none.
    reason : why there is none.
    """

    figure: str
    direction: Direction
    required: float
    got: float | None
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the figure is there and good enough."""
        if self.got is None:
            return False
        return self.got >= self.required if self.direction == "at least" else self.got <= self.required

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            "figure": self.figure,
            "direction": self.direction,
            "required": self.required,
            "got": self.got,
            "passed": self.passed,
        }
        return plain if self.reason is None else plain | {"reason": self.reason}


def check_policy(card: Card, policy: Path) -> dict[str, Any]:
    """Hold a card against a policy file.

    Parameters
    ----------
    card : of the model.
    policy : TOML with a table ``[require]``: ``split`` (``test`` by default) names the evaluation, the other keys are
        those of :data:`FIGURES`; ``[require.attack.NAME]``, ``[require.damage]``, ``[require.certificate]`` and
        ``[require.export.TARGET]`` are about attacks, everyday damage, certificates and exports. A required figure that
        the card lacks counts as failed.

    Returns
    -------
    ``passed``, ``failed`` and ``checked``: lists of {``figure``, ``direction``, ``required``, ``got``, ``passed``},
    with a ``reason`` where ``got`` is ``None``.

    Raises
    ------
    UsageError
        The file cannot be read, requires nothing, or names a figure that does not exist; the message lists those that
        do.
    """
    checks = list(checked(card, read_policy(policy)))
    return {
        "passed": all(check.passed for check in checks),
        "failed": [check.as_dict() for check in checks if not check.passed],
        "checked": [check.as_dict() for check in checks],
    }


def read_policy(path: Path) -> dict[str, Any]:
    """The table ``[require]`` of a policy file.

    Raises
    ------
    UsageError
        The file cannot be read, is not TOML, has other tables, or requires nothing.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the policy {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the policy {path} is not TOML: {' '.join(str(error).split())}") from error
    other = sorted(document.keys() - {"require"})
    if other:
        raise UsageError(f"{path} has {other[0]!r}; a policy has one table, [require], and what stands below it")
    required = document.get("require")
    if not isinstance(required, dict) or not required.keys() - {"split"}:
        raise UsageError(f"{path} requires nothing; write figures below [require], such as accuracy_lower = 0.98")
    return required


def checked(card: Card, required: Mapping[str, Any]) -> Iterator[Check]:
    """Each requirement beside the card's figure, in the policy's order; ``required`` is the table ``[require]``."""
    split = required.get("split", "test")
    if not isinstance(split, str):
        raise UsageError(f"Expected split to be the name of an evaluation, but got {split!r}")
    report = card.report(split)
    for key, value in required.items():
        if key == "split":
            continue
        if key == "attack":
            for name, wanted in _tables(key, value):
                yield from _attack_checks(card, name, wanted)
        elif key == "export":
            for name, wanted in _tables(key, value):
                yield from _export_checks(card, name, wanted)
        elif key == "damage":
            yield from _damage_checks(card, split, _table(key, value))
        elif key == "certificate":
            yield from _certificate_checks(card, split, _table(key, value))
        elif key in FIGURES:
            figure = FIGURES[key]
            got = None if report is None else figure.of(report)
            reason = None
            if got is None:
                reason = (
                    f"no evaluation on {split!r}" if report is None else f"the evaluation on {split!r} has no {key}"
                )
            yield Check(key, figure.direction, _number(key, value), got, reason)
        else:
            raise _unknown(key, ["split", *FIGURES, "attack", "export", "damage", "certificate"])


def _attack_checks(card: Card, name: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    where = f"attack.{name}"
    norm, eps = wanted.get("norm", "linf"), wanted.get("eps")
    figures = {key: value for key, value in wanted.items() if key not in ("norm", "eps")}
    for key in figures:
        if key not in ATTACK_FIGURES:
            raise _unknown(f"{where}.{key}", ["norm", "eps", *ATTACK_FIGURES])
    if eps is None or not figures:
        raise UsageError(f"[require.{where}] needs eps and a figure ({', '.join(ATTACK_FIGURES)})")
    eps = _eps(f"{where}.eps", eps)
    # The latest that was made at least as strong: what holds in a larger ball holds in the smaller one.
    found = [
        f
        for report in card.evidence
        if isinstance(report, AttackReport)
        for f in report.results
        if f.attack == name and f.norm == norm and f.eps >= eps - _SAME_EPS and f.speaks_of_model
    ]
    nearest = min((f.eps for f in found), default=None)
    latest = next((f for f in reversed(found) if f.eps == nearest), None)
    for key, value in figures.items():
        got = None if latest is None else ATTACK_FIGURES[key](latest)
        reason = f"no {name} with {norm} at eps {eps:g} or above on the card" if latest is None else None
        yield Check(f"{where}.{key}", "at least", _number(f"{where}.{key}", value), got, reason)


def _export_checks(card: Card, target: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    where = f"export.{target}"
    found = [e for e in card.evidence if isinstance(e, ExportReport) and e.target == target]
    if not wanted:
        raise UsageError(f"[require.{where}] needs a figure ({', '.join(EXPORT_FIGURES)})")
    for key, value in wanted.items():
        if key not in EXPORT_FIGURES:
            raise _unknown(f"{where}.{key}", list(EXPORT_FIGURES))
        of, direction = EXPORT_FIGURES[key]
        reason = None if found else f"no export to {target} on the card"
        yield Check(f"{where}.{key}", direction, _number(key, value), of(found[-1]) if found else None, reason)


def _damage_checks(card: Card, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    found = [e for e in card.evidence if isinstance(e, CorruptionReport) and e.split == split]
    for key, value in wanted.items():
        if key not in DAMAGE_FIGURES:
            raise _unknown(f"damage.{key}", list(DAMAGE_FIGURES))
        got = DAMAGE_FIGURES[key](found[-1]) if found else None
        reason = None if found else f"no accuracy under everyday damage on {split!r}"
        yield Check(f"damage.{key}", "at least", _number(f"damage.{key}", value), got, reason)


def _certificate_checks(card: Card, split: str, wanted: Mapping[str, Any]) -> Iterator[Check]:
    found = [e for e in card.evidence if isinstance(e, CertificateReport) and e.split == split]
    for key in wanted:
        if key not in ("radius", *CERTIFICATE_FIGURES):
            raise _unknown(f"certificate.{key}", ["radius", *CERTIFICATE_FIGURES])
    if any(key.startswith("accuracy") for key in wanted) != ("radius" in wanted):
        raise UsageError("[require.certificate] needs radius and accuracy together: accuracy is certified at a radius")
    radius = _number("certificate.radius", wanted.get("radius", 0.0))
    for key, value in wanted.items():
        if key == "radius":
            continue
        required = _number(f"certificate.{key}", value)
        if not found:
            yield Check(f"certificate.{key}", "at least", required, None, f"no certificate on {split!r}")
            continue
        report = found[-1]
        # What is certified at the next larger radius of the curve is certified at this one.
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


def _table(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise UsageError(f"Expected [require.{key}] to be a table with figures, but got {key} = {value!r}")
    return value


def _tables(key: str, value: object) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, dict) or not value or not all(isinstance(table, dict) for table in value.values()):
        raise UsageError(f"Expected [require.{key}.NAME] to be a table, but got {key} = {value!r}")
    return list(value.items())


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"Expected {key} to be a number, but got {value!r}")
    return value


def _eps(key: str, value: object) -> float:
    if isinstance(value, str):
        try:
            return float(Fraction(value))
        except (ValueError, ZeroDivisionError) as error:
            raise UsageError(
                f"Expected {key} to be a number or a fraction such as '4/255', but got {value!r}"
            ) from error
    return _number(key, value)


def _unknown(key: str, known: list[str]) -> UsageError:
    return UsageError(f"a policy knows no {key!r}; it knows {', '.join(known)}")
