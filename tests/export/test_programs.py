"""What a converter that fails tells."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from facevalue.errors import FaceValueError
from facevalue.export import programs


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "raise RuntimeError('Lowering not found: aten.some\\n\\nUse tlparse to see it.')",
            "RuntimeError: Lowering not",
        ),
        ("raise SystemExit('no room\\n')", "no room"),
        ("raise SystemExit(3)", "no message"),
    ],
)
def test_the_first_line_of_its_error(told: str, shown: str, tmp_path: Path) -> None:
    program = types.ModuleType("program")
    program.__file__ = str(tmp_path / "program.py")
    (tmp_path / "program.py").write_text(told)
    with pytest.raises(FaceValueError, match=f"cannot convert this network: {shown}") as caught:
        programs.run(sys.executable, program, "convert")
    assert "\n" not in str(caught.value)
