"""ONNX Runtime is started without its telemetry, wherever it is used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "facevalue"

PROGRAM = """
import os, sys
before = dict(os.environ)
from facevalue.support.onnx_runtime import SWITCH, onnxruntime
if sys.argv[1] == "plainly":
    import onnxruntime as package
else:
    package = onnxruntime()
assert dict(os.environ) == before
package.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
"""


def left_behind(how: str, model: Path, home: Path) -> list[str]:
    """Files in the home folder of a user who runs a network once."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "SSL_CERT_FILE": "/nothing"}  # a test sends nothing either
    home.mkdir()
    subprocess.run([sys.executable, "-c", PROGRAM, how, model], env={**kept, **nowhere, "HOME": str(home)}, check=True)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_no_telemetry(tmp_path: Path) -> None:
    """With telemetry ONNX Runtime keeps a number for the machine; without it, it keeps nothing."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    one, other = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [one], [other]), opset_imports=opset, ir_version=8
    )
    onnx.save(model, tmp_path / "a.onnx")
    assert left_behind("by us", tmp_path / "a.onnx", tmp_path / "ours") == []
    assert "deviceid" in left_behind("plainly", tmp_path / "a.onnx", tmp_path / "plain")


def test_nothing_else_imports_it() -> None:
    found = [
        path.name
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*import onnxruntime", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == []
