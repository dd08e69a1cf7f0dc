"""A process that is asked by its standard input and answers on its standard output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress


def started(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start it with pipes; what it says of errors goes nowhere. Raises ``OSError`` if it cannot be started."""
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End it at once, and close its pipes."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.kill()  # it has nothing to lose
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written yet goes nowhere
            pipe.close()
    process.wait()
