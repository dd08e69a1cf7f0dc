"""The tool that runs the tests under two instruction sets: its limits reach the libraries."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("instruction_sets", root / "tools" / "instruction_sets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAM = """
import torch
print("PyTorch", torch.backends.cpu.get_cpu_capability())
torch.conv2d(torch.rand(8, 64, 56, 56), torch.rand(64, 64, 3, 3))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "pytorch", "onednn"), [("AVX2", "AVX2", "Intel AVX2"), ("SSE4", "DEFAULT", "SSE4.1")]
)
def test_the_limits_reach_pytorch_and_onednn(tool: ModuleType, limits: str, pytorch: str, onednn: str) -> None:
    variables = {**tool.environment(getattr(tool, limits)), "ONEDNN_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=True)
    assert f"PyTorch {pytorch}\n" in done.stdout
    (isa,) = [line for line in done.stdout.splitlines() if ",cpu,isa:" in line]
    assert isa.endswith(onednn)


def test_limits_of_the_shell_do_not_reach_the_run_without_limits(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("FACEVALUE_DATA", "images")
    assert "ATEN_CPU_CAPABILITY" not in tool.environment({})
    assert tool.environment({})["FACEVALUE_DATA"] == "images"
    assert all(tool.environment(limits).items() >= limits.items() for _, limits in tool.LOWER.values())


@pytest.mark.slow
def test_both_sets_are_run_and_one_failure_fails_both(tmp_path: Path, root: Path, tool: ModuleType) -> None:
    """A test that fails under the limited set alone."""
    (tmp_path / "test_limited.py").write_text(
        "import os\ndef test_limits():\n    assert 'ONEDNN_MAX_CPU_ISA' not in os.environ\n"
    )
    command = [
        sys.executable,
        str(root / "tools/instruction_sets.py"),
        "-q",
        "-p",
        "no:cacheprovider",
        "test_limited.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    own = tool.capability({})
    if own not in tool.LOWER:
        assert (done.returncode, done.stdout) == (2, "")
    else:
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1] == f"{own}: passed; {tool.LOWER[own][0]}: failed"
