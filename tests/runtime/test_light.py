"""The runtime is light: what it does not import, how soon it answers, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .model_folders import write_model

HEAVY = ("torch", "timm", "pandas", "scipy", "sklearn", "onnx", "matplotlib", "pyarrow", "safetensors")

PROGRAM = """
import json, os, re, sys
from pathlib import Path
from facevalue.runtime import open_folder
(prediction,) = open_folder(sys.argv[1]).predict(sys.argv[2], heat=True)
loaded = sorted(set(sys.modules) & set(sys.argv[3].split()))
# Not getrusage: its maximum counts the process that started this one.
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps({"label": prediction.label, "loaded": loaded, "peak": peak, "seconds": sum(os.times()[:2])}))
"""


def test_one_answer_imports_nothing_heavy(folder: Path, lfw: Path) -> None:
    found = answer(folder, lfw)
    assert found["loaded"] == []
    assert found["label"] in ("face", "not-face")


@pytest.mark.parametrize(("name", "size"), [("mobilenetv2_100", 224), ("small-cnn", 150)])
def test_one_answer_is_quick_and_small(name: str, size: int, lfw: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "m", name, size)
    found = answer(tmp_path / "m", lfw)
    assert found["peak"] < 350e6
    # Processor time from the process's start, since other work on the machine does not count in it; the wall clock's
    # limit is the same, and is measured in benchmarks/.
    assert found["seconds"] < 1.5


def answer(folder: Path, lfw: Path) -> dict[str, Any]:
    image = lfw / "face" / "face-000.png"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, image, " ".join(HEAVY)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found
