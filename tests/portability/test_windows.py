"""Windows and macOS, simulated: what they lack is removed, and what they forbid is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="open files are listed by Linux alone")
def test_everything_works_with_what_windows_has(lfw: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd" / 'who <is> "this"? nul|.png'
    odd.parent.mkdir()
    odd.write_bytes((lfw / "face" / "face-000.png").read_bytes())
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "warn_default_encoding",
            HERE / "windows.py",
            HERE / "everything.py",
            lfw,
            odd,
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "FACEVALUE_CACHE_GB": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
