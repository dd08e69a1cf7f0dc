"""Does a model meet the figures that somebody requires? Asked of its card, so that it costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy.judging import checked
from facevalue.evidence.policy.tables import read_policy


def check_policy(card: ModelCard, policy: Path) -> dict[str, Any]:
    """Hold a card against a policy file.

    Parameters
    ----------
    card : of the model.
    policy : TOML with a table ``[require]``: ``split`` (``test`` by default) names the evaluation, the other keys are
        those of :data:`facevalue.evidence.policy.figures.FIGURES`; ``[require.attack.NAME]``, ``[require.corruption]``,
        ``[require.certificate]`` and ``[require.export.TARGET]`` are about attacks, everyday corruptions, certificates and
        exports. A required figure that the card lacks counts as failed.

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
        "failed": [check.to_dict() for check in checks if not check.passed],
        "checked": [check.to_dict() for check in checks],
    }
