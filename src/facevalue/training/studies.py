"""The setup file of a study of several trainings (``tune``, sizes), by which it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError


def check_same_study(setup: Path, asked: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` if the study that wrote ``setup`` has other settings than ``asked``."""
    before = json.loads(setup.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(asked))  # JSON turns tuples into lists
    other = sorted(key for key in wanted if wanted[key] != before.get(key))
    if other:
        where = f"{setup.parent} holds a study that differs in its {other[0]}"
        raise UsageError(f"{where}; use the same settings, or choose another `output`")
