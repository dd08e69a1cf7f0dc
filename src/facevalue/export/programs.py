"""Run converters as programs of their own: their packages clash with ours, print, and change their process."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

from facevalue.errors import FaceValueError


def run(python: str, program: ModuleType, *arguments: str | Path) -> dict[str, str]:
    """Run one of our programs; returns the versions of what it used.

    Parameters
    ----------
    python : the interpreter.
    program : its module, which imports nothing of facevalue, and prints the versions as JSON on its last line.
    arguments : the first one is what it does, a verb for the message of an error.

    Raises
    ------
    FaceValueError
        The program fails; the message ends with the first line of its last error.
    """
    # Isolated: neither the program's folder, which has an onnx.py, nor PYTHONPATH is where it imports from.
    command = [python, "-I", str(program.__file__), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FaceValueError(f"{python} cannot {arguments[0]} this network: {_error_in(done.stderr)}")
    versions: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return versions


def _error_in(text: str) -> str:
    """The first line of the last error that a program told; torch adds lines about its logs to them."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["no message"])[-1][:300]
