"""One requirement of a policy with the card's figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from facevalue.evidence.policy.figures import (
    Direction,
)
from facevalue.evidence.policy.tables import number, unknown

R = TypeVar("R")

Figures = Mapping[str, tuple[Callable[[R], float | None], Direction]]
"""How each figure is read from a report, and whether a policy limits it from below or above."""


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


def worst(values: Iterable[float], direction: Direction) -> float | None:
    """The value that is furthest from what is required; ``None`` if there is none."""
    return (min if direction == "at least" else max)(values, default=None)


def figure_checks(
    table: str,
    wanted: Mapping[str, Any],
    figures: Figures[R],
    got: Callable[[Callable[[R], float | None], Direction], float | None],
    why: Callable[[str], str],
    options: Iterable[str] = (),
) -> Iterator[Check]:
    """Check each figure of ``[require.TABLE]``.

    Parameters
    ----------
    wanted : figures and their limits, without the options.
    got : the card's value, from how a figure is read and its direction.
    why : why the card has no value of a figure.
    options : further keys of the table, for the message about an unknown one.
    """
    for key, value in wanted.items():
        if key not in figures:
            raise unknown(f"{table}.{key}", [*options, *figures])
        found = got(*figures[key])
        reason = None if found is not None else why(key)
        yield Check(f"{table}.{key}", figures[key][1], number(f"{table}.{key}", value), found, reason)
