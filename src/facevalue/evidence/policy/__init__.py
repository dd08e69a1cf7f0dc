"""Check the figures on a model's card against a policy; nothing is measured again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.check import Check
from facevalue.evidence.policy.judging import checked
from facevalue.evidence.policy.tables import read_policy
from facevalue.evidence.registered import hash_of
from facevalue.support.frames import frame_of
from facevalue.support.html import ShownInNotebooks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PolicyResult(ShownInNotebooks):
    """Result of checking a card against a policy.

    Attributes
    ----------
    checked : every requirement with the card's figure, in the policy's order.
    registered : when the policy was registered, before the model's test figures were computed; ``None`` if it was not,
        or was changed since.
    """

    checked: tuple[Check, ...]
    registered: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every requirement is met."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The requirements that are not met."""
        return tuple(check for check in self.checked if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """``passed``, ``registered``, ``failed`` and ``checked``."""
        return {
            "registered": self.registered,
            "passed": self.passed,
            "failed": [check.to_dict() for check in self.failed],
            "checked": [check.to_dict() for check in self.checked],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per requirement."""
        return frame_of([check.to_dict() for check in self.checked])


def check_policy(card: ModelCard, policy: Path) -> PolicyResult:
    """Check a card against a policy file.

    Parameters
    ----------
    card : of the model.
    policy : TOML with a table ``[require]``: ``split`` (``test`` by default) names the evaluation, the other keys are
        those of :data:`facevalue.evidence.policy.figures.FIGURES`, or sub-tables about one kind of evidence, such as
        ``[require.attack.NAME]``; docs/guides/policies.md lists them. A required figure that the card lacks counts as
        failed.

    Raises
    ------
    UsageError
        The file cannot be read, requires nothing, or names a figure that does not exist; the message lists those that
        do.
    """
    required = read_policy(policy)
    same = card.policy is not None and card.policy.sha256 == hash_of(required)
    return PolicyResult(tuple(checked(card, required)), card.policy.registered if card.policy and same else None)
