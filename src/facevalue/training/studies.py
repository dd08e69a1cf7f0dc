"""The setup file of a study of several trainings (``tune``, sizes), by which it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError
from facevalue.training.checkpoint import differences


def study_of(setup: Path) -> dict[str, Any] | None:
    """The contents of a setup file; ``None`` if there is none.

    Raises
    ------
    UsageError
        It is damaged.
    """
    if not setup.is_file():
        return None
    try:
        found = json.loads(setup.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{setup} cannot be read; choose another `output`")
    return found


def check_same_study(setup: Path, asked: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` if the study that wrote ``setup`` has other settings than ``asked``."""
    before, wanted = study_of(setup) or {}, json.loads(json.dumps(asked))  # JSON turns tuples into lists
    other = [named for key in wanted for named in differences(before.get(key), wanted[key], key)]
    if other:
        raise UsageError(
            f"{setup.parent} holds a study that differs in its {other[0]}; use the same settings to go on, give "
            "`fresh` to remove it and start over, or choose another `output`"
        )
