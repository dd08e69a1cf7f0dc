"""A long load on the server while its model is replaced every 20 s: errors, latency, and whether memory grows.

Run from the project's root: ``python -m benchmarks.serving_soak [--minutes M] [--every S] [--clients N]``.

Keep-alive clients on loopback ask without a pause. Two models take turns under one name, by renaming a folder into
place. Memory is the proportional memory of the server's processes, once a second; its slope is of a line through the
last three quarters of the time. The first quarter warms up.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.common import FACEVALUE, data, facevalue, keep, mobilenet
from benchmarks.serving import free_port, images, megabytes, server


@dataclass
class Seen:
    """What the clients saw."""

    times: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def client(port: int, bodies: list[bytes], end: float, seen: Seen, first: int) -> None:
    """Ask until the end; a broken connection counts as an error, and is opened anew."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    i = first
    while time.perf_counter() < end:
        start, i = time.perf_counter(), i + 1
        try:
            if connection.sock is None:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request("POST", "/predict", bodies[i % len(bodies)], {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            text, status = response.read(), str(response.status)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            text, status = b"", type(error).__name__
        with seen.lock:
            seen.times.append(time.perf_counter() - start)
            seen.statuses[status] += 1
            if status == "200":
                seen.versions[text.partition(b'"version":"')[2][:12].decode()] += 1
    connection.close()


def replace(served: Path, new: Path) -> None:
    """Put a copy of a model in the place of the one that is served."""
    copy, old = served.with_name("new"), served.with_name("old")
    shutil.copytree(new, copy)
    served.rename(old)
    copy.rename(served)
    shutil.rmtree(old)


def slope(memory: list[tuple[float, float]]) -> float:
    """MB a minute over the last three quarters."""
    late = np.array([row for row in memory if row[0] >= memory[-1][0] / 4])
    return 60 * float(np.polyfit(late[:, 0], late[:, 1], 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=20, help="seconds between two replacements")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--model", type=Path, nargs=2, help="two model folders made before, for trying this out")
    parser.add_argument("--no-result", action="store_true", help="write no result file")
    asked = parser.parse_args()
    bodies = [path.read_bytes() for path in images()]
    with tempfile.TemporaryDirectory() as folder:
        models = asked.model or [Path(folder) / "a", Path(folder) / "b"]
        if asked.model is None:
            for seed, model in enumerate(models):
                probe = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
                facevalue("train", str(data("human-or-object")), "-o", str(model), *probe, "--seed", str(seed))
        served = Path(folder) / "served" / "model"
        served.parent.mkdir()
        shutil.copytree(models[0], served)
        port, seen, memory, replaced = free_port(), Seen(), [], 0
        command = [FACEVALUE, "serve", str(served), "--port", str(port), "--log-level", "warning"]
        with server(command, port, bodies[0]) as (process, _):
            begun = time.perf_counter()
            end = begun + 60 * asked.minutes
            threads = [
                threading.Thread(target=client, args=(port, bodies, end, seen, 7 * i)) for i in range(asked.clients)
            ]
            for thread in threads:
                thread.start()
            while time.perf_counter() < end:
                time.sleep(1)
                passed = time.perf_counter() - begun
                memory.append((passed, megabytes(process.pid)))
                if passed >= asked.every * (replaced + 1) and time.perf_counter() < end - 2:
                    replaced += 1
                    replace(served, models[replaced % 2])
            for thread in threads:
                thread.join()
        times = np.sort(seen.times)
    figures: dict[str, object] = {
        "minutes": asked.minutes,
        "clients": asked.clients,
        "seconds_between_replacements": asked.every,
        "replacements": replaced,
        "requests": len(times),
        "requests_per_second": len(times) / (60 * asked.minutes),
        "errors": sum(n for status, n in seen.statuses.items() if status != "200"),
        "statuses": dict(seen.statuses),
        "versions_seen": len(seen.versions),
        "p50_ms": 1000 * float(times[len(times) // 2]),
        "p99_ms": 1000 * float(times[int(0.99 * len(times))]),
        "megabytes_first": memory[0][1],
        "megabytes_last": memory[-1][1],
        "megabytes_most": max(size for _, size in memory),
        "megabytes_per_minute": slope(memory),
        "load_average": os.getloadavg(),
    }
    print(figures)
    if not asked.no_result:
        keep("serving_soak", figures)


if __name__ == "__main__":
    main()
