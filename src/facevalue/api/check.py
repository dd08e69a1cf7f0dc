"""``check``: whether a model meets a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy import check_policy


def check(model: Path | str, policy: Path | str) -> dict[str, Any]:
    """Whether a model meets the figures that a policy file requires."""
    return check_policy(ModelCard.load(Path(model)), Path(policy))
