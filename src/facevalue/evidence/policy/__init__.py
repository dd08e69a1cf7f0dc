"""Check the figures on a model's card against a policy; nothing is measured again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.judging import Check, checked
from facevalue.evidence.policy.tables import read_policy
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
    """

    checked: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every requirement is met."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The requirements that are not met."""
        return tuple(check for check in self.checked if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """``passed``, ``failed`` and ``checked``."""
        return {
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
        those of :data:`facevalue.evidence.policy.figures.FIGURES`; ``[require.attack.NAME]``, ``[require.corruption]``,
        ``[require.remade]``, ``[require.calibration]``, ``[require.promise]``, ``[require.certificate]`` and
        ``[require.export.TARGET]`` are about attacks, everyday corruptions, re-made images, calibration, promises,
        certificates and exports, ``[require.runtimes.PRECISION]`` about what ``certify_runtimes`` measured. A required
        figure that the card lacks counts as failed.

    Raises
    ------
    UsageError
        The file cannot be read, requires nothing, or names a figure that does not exist; the message lists those that
        do.
    """
    return PolicyResult(tuple(checked(card, read_policy(policy))))
