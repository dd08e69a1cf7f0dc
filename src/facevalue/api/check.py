"""``check``: does a model meet a policy?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from facevalue.errors import FaceValueError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy import PolicyResult, check_policy

if TYPE_CHECKING:  # a card is checked without torch
    from facevalue.api.common.inputs import Model


def check(model: Model, policy: Path | str) -> PolicyResult:
    """Check whether a model meets the figures that a policy file requires.

    Parameters
    ----------
    model : a classifier, or a model folder; only its card is read.
    policy : a TOML file, see :func:`facevalue.evidence.policy.check_policy`.

    Raises
    ------
    UsageError
        The policy cannot be read, or requires a figure that does not exist.
    FaceValueError
        The card was edited by hand.
    """
    card = ModelCard.load(Path(model)) if isinstance(model, str | os.PathLike) else model.card
    if card.altered:
        raise FaceValueError(
            f"the card of {model} was edited after facevalue had written it ({', '.join(card.altered)}), so it proves "
            "nothing; evaluate the original folder, or train again"
        )
    return check_policy(card, Path(policy))
