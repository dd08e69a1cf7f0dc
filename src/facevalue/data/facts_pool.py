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
from facevalue.support import machine, progress

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
        self._running: list[subprocess.Popen[bytes]] = []
        self._ended: set[int] = set()
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for place, process in enumerate(self._running):
            if place not in self._ended:
                _end(process)
        self._running, self._ended = [], set()

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
            self._ask(i, first + i, batches[i])
        for i, batch in enumerate(batches):
            facts = self._told(i, first + i, len(batch))
            if len(self._ended) == len(self._running):
                yield from machine.in_order(facts_of, map(Path, paths[i * _BATCH :]))
                return
            if i + ahead < len(batches):
                self._ask(i + ahead, first + i + ahead, batches[i + ahead])
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

    def _ask(self, i: int, number: int, batch: Sequence[str]) -> None:
        place = i % len(self._running)
        if place not in self._ended:
            self._send(self._running[place], [number, batch])

    def _send(self, process: subprocess.Popen[bytes], value: Sequence[Any]) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended, which is seen where its answer is read
            process.stdin.write(json.dumps(value).encode() + b"\n")
            process.stdin.flush()

    def _told(self, i: int, number: int, n: int) -> list[dict[str, Any]] | None:
        """The facts of a batch; ``None`` if its process has ended.

        A process that answers anything else is ended: what it says next may be of other files.
        """
        place = i % len(self._running)
        if place in self._ended:
            return None
        process = self._running[place]
        assert process.stdout is not None
        try:
            answered, facts = json.loads(process.stdout.readline())
            if answered == number and isinstance(facts, list) and len(facts) == n:
                return facts
        except (OSError, ValueError, TypeError):
            pass
        self._ended.add(place)
        _end(process)
        progress.note("a process that reads files has ended; its files are read without it, which takes longer")
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.kill()  # it has nothing to lose
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written yet goes nowhere
            pipe.close()
    process.wait()
