"""Read facts of many files with several processes.

Decoding a small image is mostly Python and parts of Pillow that hold Python's lock, so threads take turns: two are as
fast as one. Facts are short, so sending them between processes costs little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from facevalue.data.file_facts import facts_of
from facevalue.support import machine

MANY = 1000
"""From this number of files on, processes are started; that takes as long as reading a few hundred files."""

_MOST = 16  # processes; this one cannot collect the facts of more
_BATCH = 8  # files
_AHEAD = 2  # batches that a process has at a time: one that it reads, one that waits
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from facevalue.data.facts_process import serve; serve()"
)


@final
class FactsPool:
    """Processes that read facts of files; they are started when they are needed.

    Whatever happens to a process, its files are read: in this process, if it cannot be started or has ended.

    Parameters
    ----------
    processes : how many; by default one for each processor, at most 16. With fewer than 2 there are none.
    """

    def __init__(self, processes: int | None = None) -> None:
        wanted = min(machine.cores(), _MOST) if processes is None else processes
        # The executable of a frozen program is that program, not Python.
        able = wanted > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)
        self._wanted = wanted if able else 0
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._running:
            _end(process)
        self._running = []

    def suits(self, n: int) -> bool:
        """Whether processes read this number of files faster than threads."""
        return self._wanted > 0 and n >= MANY

    def facts_of(self, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Facts of these files, in order; see :func:`facevalue.data.file_facts.facts_of`."""
        self._start()
        if not self._running:
            yield from machine.in_order(facts_of, map(Path, paths))
            return
        batches = [paths[i : i + _BATCH] for i in range(0, len(paths), _BATCH)]
        ahead = _AHEAD * len(self._running)
        for i in range(min(ahead, len(batches))):
            self._ask(i, batches[i])
        for i, batch in enumerate(batches):
            facts = self._told(i, len(batch))
            if i + ahead < len(batches):
                self._ask(i + ahead, batches[i + ahead])
            yield from (facts_of(Path(path)) for path in batch) if facts is None else facts

    def _start(self) -> None:
        if self._running or not self._wanted:
            return
        # Isolated from the user's folder and settings of Python; what can be imported here can be imported there.
        command = [sys.executable, "-I", "-c", _START]
        # They are as many as processors, so each needs one thread only.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            for _ in range(self._wanted):
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
                self._running.append(process)
                self._send(process, [folder for folder in sys.path if isinstance(folder, str)])
        except OSError:  # too many processes: the others do the work
            self._wanted = len(self._running)

    def _ask(self, i: int, batch: Sequence[str]) -> None:
        self._send(self._running[i % len(self._running)], batch)

    def _send(self, process: subprocess.Popen[bytes], value: Sequence[str]) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended, which is seen where its answer is read
            process.stdin.write(json.dumps(value).encode() + b"\n")
            process.stdin.flush()

    def _told(self, i: int, n: int) -> list[dict[str, Any]] | None:
        """The facts of a batch; ``None`` if its process has ended."""
        process = self._running[i % len(self._running)]
        assert process.stdout is not None
        try:
            facts = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, list) and len(facts) == n else None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.kill()  # it has nothing to lose
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written yet goes nowhere
            pipe.close()
    process.wait()
