"""Several processes on one port: started, started again when they die, and stopped together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import socket
from types import FrameType

from facevalue.errors import FaceValueError
from facevalue.serve.settings import Settings

log = logging.getLogger("facevalue.serve")

SHORT_LIFE = 5.0
"""Seconds: a worker that dies younger than this, several times in a row, will not get better by itself."""
TRIES = 3


def supervise(listener: socket, folders: Mapping[str, Path], settings: Settings) -> None:
    """Run ``settings.workers`` processes until SIGINT or SIGTERM.

    Raises
    ------
    FaceValueError
        Workers die as soon as they are started.
    """
    told_to_stop = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal told_to_stop
        told_to_stop = True

    context = multiprocessing.get_context("spawn")
    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tempfile.TemporaryDirectory(prefix="facevalue-metrics-") as figures:

            def start() -> tuple[SpawnProcess, float]:
                process = context.Process(target=_work, args=(listener, dict(folders), settings, figures))
                process.start()
                return process, time.monotonic()

            workers = [start() for _ in range(settings.workers)]
            deaths = 0
            while not told_to_stop:
                time.sleep(0.2)
                for i, (process, since) in enumerate(workers):
                    if process.is_alive() or told_to_stop:
                        continue
                    deaths = deaths + 1 if time.monotonic() - since < SHORT_LIFE else 1
                    _forget(figures, process.pid)
                    if deaths >= TRIES:
                        _end([one for one, _ in workers], settings.grace_seconds)
                        raise FaceValueError(f"workers die as soon as they are started (exit code {process.exitcode})")
                    log.error("worker %s died with exit code %s; another is started", process.pid, process.exitcode)
                    workers[i] = start()
            _end([process for process, _ in workers], settings.grace_seconds)
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _end(workers: list[SpawnProcess], grace: float) -> None:
    for process in workers:
        if process.is_alive():
            process.terminate()
    end = time.monotonic() + grace + 5
    for process in workers:
        process.join(max(0.1, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _forget(figures: str, pid: int | None) -> None:
    """Leave the counts of a dead process, and take out its states."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, figures)  # type: ignore[no-untyped-call]


def _end_with_parent() -> None:
    """In a worker: stop in order when the process that started it was killed. Else the workers would keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(listener: socket, folders: Mapping[str, Path], settings: Settings, figures: str) -> None:
    """In a worker."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = figures  # read when prometheus_client is imported, which is below
    from facevalue.serve import logs
    from facevalue.serve.start import serve_on
    from facevalue.support import machine

    threading.Thread(target=_end_with_parent, daemon=True).start()
    machine.return_memory()
    warnings.filterwarnings("ignore", module="PIL")  # of unusual files that it can read
    logging.captureWarnings(True)
    logs.set_up(settings.log_format, settings.log_level)
    serve_on(listener, folders, settings)
