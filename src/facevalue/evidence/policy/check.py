"""One requirement of a policy with the card's figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facevalue.evidence.policy.figures import (
    Direction,
)


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
