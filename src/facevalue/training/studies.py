"""What studies of several trainings (a search, sizes side by side) keep beside their models, to go on with later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError


def check_same_study(setup: Path, asked: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` where the study that wrote ``setup`` was asked something else than this one is."""
    before = json.loads(setup.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(asked))  # a tuple there is a list here
    other = sorted(key for key in wanted if wanted[key] != before.get(key))
    if other:
        where = f"{setup.parent} holds a study that differs in its {other[0]}"
        raise UsageError(f"{where}; give the same, or choose another `output`")
