"""Run converters as programs of their own: their packages clash with ours, print, and change their process."""

from __future__ import annotations

import json
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
        The program fails; the message ends with the last line of its error.
    """
    # Isolated: neither the program's folder, which has an onnx.py, nor PYTHONPATH is where it imports from.
    command = [python, "-I", str(program.__file__), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        raise FaceValueError(f"{python} cannot {arguments[0]} this network: {last.strip()[:300]}")
    versions: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return versions
