"""Environments for foreign programs whose packages do not go together with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def environment(folder: Path, *requirements: str) -> Path:
    """The folder of programs of a new virtual environment; skips where the packages cannot be had."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
    programs = folder / "bin"
    done = subprocess.run(
        [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"{', '.join(requirements)} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return programs
