"""Read facts of many files with several processes.

Decoding a small image is mostly Python and parts of Pillow that hold Python's lock, so threads take turns: two are
little faster than one. Facts are short, so sending them between processes costs little.
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
from facevalue.support import child_process, machine, progress

MANY = 1000
"""From this number of files on, processes are started; that takes as long as reading a few hundred files."""

_MOST = 16  # processes; this one cannot collect the facts of more
_BATCH = 4 if os.name == "nt" else 8  # files; a request and an answer must fit into a pipe, which is small there
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
        # The executable of a frozen program, and of one that embeds Python, is that program.
        is_python = Path(sys.executable or "").stem.lower().startswith(("python", "pypy"))
        self._wanted = wanted if wanted > 1 and is_python and not getattr(sys, "frozen", False) else 0
        self._running: list[subprocess.Popen[bytes] | None] = []  # None once one has ended
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._running:
            if process is not None:
                child_process.end(process)
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
        ahead, first = _AHEAD * len(self._running), self._asked
        self._asked += len(batches)
        for i in range(min(ahead, len(batches))):
            self._ask(first + i, batches[i])
        for i, batch in enumerate(batches):
            facts = self._told(first + i, len(batch))
            if not any(self._running):
                yield from machine.in_order(facts_of, map(Path, paths[i * _BATCH :]))
                return
            if i + ahead < len(batches):
                self._ask(first + i + ahead, batches[i + ahead])
            yield from (facts_of(Path(path)) for path in batch) if facts is None else facts

    def _start(self) -> None:
        if self._running or not self._wanted:
            return
        # Isolated from the user's folder and settings of Python; what can be imported here can be imported there.
        flags = ["-I", "-X", f"utf8={sys.flags.utf8_mode}", *(["-B"] if sys.dont_write_bytecode else [])]
        command = [sys.executable, *flags, "-c", _START]
        # They are as many as processors, so each needs one thread only.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            for _ in range(self._wanted):
                process = child_process.started(command, environment)
                self._running.append(process)
                self._send(process, [folder for folder in sys.path if isinstance(folder, str)])
        except OSError:  # too many processes: the others do the work
            self._wanted = len(self._running)

    def _ask(self, number: int, batch: Sequence[str]) -> None:
        process = self._running[number % len(self._running)]
        if process is not None:
            self._send(process, [number, batch])

    def _send(self, process: subprocess.Popen[bytes], value: Sequence[Any]) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended, which is seen where its answer is read
            process.stdin.write(json.dumps(value).encode() + b"\n")
            process.stdin.flush()

    def _told(self, number: int, n: int) -> list[dict[str, Any]] | None:
        """The facts of a batch; ``None`` if its process has ended.

        A process that answers anything else is ended: what it says next may be of other files.
        """
        place = number % len(self._running)
        process = self._running[place]
        if process is None:
            return None
        assert process.stdout is not None
        try:
            answered, facts = json.loads(process.stdout.readline())
            if answered == number and isinstance(facts, list) and len(facts) == n:
                return facts
        except (OSError, ValueError, TypeError):
            pass
        self._running[place] = None
        child_process.end(process)
        progress.note("a process that reads files has ended; its files are read without it, which takes longer")
        return None
