"""Servers of one network in one run: ours, plain FastAPI with PyTorch, LitServe, FastAPI with ONNX Runtime.

Run from the project's root: ``python -m benchmarks.serving [--seconds S] [--only NAME …] [--litserve PYTHON]``.

Every server gets the same JPEG files as bodies from keep-alive clients on loopback, ``--seconds`` each for 1, 16 and 64
clients; all do the same preprocessing. The bare engine is decoding and the network without HTTP, on the same cores.
Kept are requests a second, p50 and p99, seconds from the start to the first answer, memory after the load, and
CPU milliseconds a request, which other programs on the machine disturb least. Of OpenVINO in bfloat16 the card must
have figures for this processor first, so ``certify-runtimes`` writes them. LitServe wants an environment of its
own: it is made in a temporary folder unless ``--litserve`` names a Python that has it.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.common import FACEVALUE, ROOT, data, facevalue, keep, mobilenet

CLIENTS = (1, 16, 64)
SERVERS = Path(__file__).with_name("servers")
BFLOAT16 = "facevalue-openvino-bf16"
MOST = 20_000
"""Requests that one load makes at the most."""


def images(n: int = 200) -> list[Path]:
    """The same photographs each time, shuffled."""
    paths = sorted(data("human-or-object").rglob("*.jpg"))
    return random.Random(0).sample(paths, n)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def in_json(body: bytes) -> bytes:
    """An image as LitServe wants it."""
    return json.dumps({"image": base64.b64encode(body).decode()}).encode()


def ask(connection: http.client.HTTPConnection, body: bytes) -> int:
    kind = "application/json" if body[:1] == b"{" else "image/jpeg"
    connection.request("POST", "/predict", body, {"Content-Type": kind})
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def server(command: list[str], port: int, image: bytes) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server's process, once it has answered, and the seconds until then."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            if process.poll() is not None or time.perf_counter() - start > 120:
                sys.exit(f"{' '.join(command)} did not start")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                if ask(connection, image) == 200:
                    break
            except OSError:
                time.sleep(0.01)
        connection.close()
        yield process, time.perf_counter() - start
    finally:
        started = family(process.pid)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for one in started:  # LitServe leaves its workers behind
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def megabytes(pid: int) -> float:
    """Proportional memory of a process and its children: what is shared counts once."""
    total = 0
    for one in family(pid):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total / 1024


def cpu_seconds(pid: int) -> float:
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(port: int, bodies: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Keep-alive clients for some seconds."""
    times: list[float] = []
    failures = [0]
    end = time.perf_counter() + seconds

    def client(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(first, MOST):
            start = time.perf_counter()
            if start > end:
                break
            if ask(connection, bodies[i % len(bodies)]) == 200:
                times.append(time.perf_counter() - start)
            else:
                failures[0] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    times.sort()
    return {
        "requests_per_second": len(times) / took,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(0.99 * len(times))],
        "requests": len(times),
        "failures": failures[0],
    }


def bare(model: Path, bodies: list[bytes], seconds: float) -> dict[str, float]:
    """Decoding and the network without HTTP: one image after the other, and many, as batches or one a core."""
    from facevalue.runtime import open_folder
    from facevalue.support import machine

    predictor = open_folder(model)
    alone = []
    for body in bodies[:100]:
        start = time.perf_counter()
        predictor.predict_bytes(body)
        alone.append(time.perf_counter() - start)

    def rate(run: Any) -> float:
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            n += run()
        return n / (time.perf_counter() - start)

    def batches() -> int:
        return len(predictor.predict(bodies))

    cpu = time.process_time()
    n = batches()
    cpu_ms = 1000 * (time.process_time() - cpu) / n
    with ThreadPoolExecutor(machine.cores()) as pool:

        def singles() -> int:
            return len(list(pool.map(predictor.predict_bytes, bodies)))

        singles()
        found = {"batches_per_second": rate(batches), "singles_per_second": rate(singles)}
    return {
        **found,
        "images_per_second": max(found.values()),
        "p50_ms": 1000 * statistics.median(alone),
        "cpu_ms": cpu_ms,
    }


def commands(model: Path, litserve: str) -> dict[str, list[str]]:
    """How each server is started; ``{port}`` is its port."""

    def script(name: str, python: str = sys.executable) -> list[str]:
        return [python, str(SERVERS / f"{name}.py"), str(model), "{port}"]

    return {
        "facevalue": [FACEVALUE, "serve", str(model), "--port", "{port}", "--log-level", "warning"],
        "facevalue-2-workers": [
            *(FACEVALUE, "serve", str(model), "--port", "{port}", "--log-level", "warning", "--workers", "2")
        ],
        "facevalue-openvino": [
            *(FACEVALUE, "serve", str(model), "--port", "{port}", "--log-level", "warning", "--engine", "openvino")
        ],
        BFLOAT16: [
            *(FACEVALUE, "serve", str(model), "--port", "{port}", "--log-level", "warning"),
            *("--engine", "openvino", "--precision", "bf16"),
        ],
        "fastapi-onnxruntime": script("fastapi_onnxruntime"),
        "fastapi-pytorch": script("fastapi_pytorch"),
        "litserve-onnxruntime": script("litserve_onnxruntime", litserve),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--model", type=Path, help="a model folder made before, for trying this out")
    parser.add_argument("--litserve", help="a Python that has litserve")
    asked = parser.parse_args()
    paths = images()
    bodies = [path.read_bytes() for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or Path(folder) / "model"
        if asked.model is None:
            probe = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
            facevalue("train", str(data("human-or-object")), "-o", str(model), *probe)
        names = asked.only or list(commands(model, ""))
        if BFLOAT16 in names:  # served only where the card has figures for this processor
            facevalue("certify-runtimes", str(model), "--targets", "openvino", "--limit", "200")
        litserve = asked.litserve or str(Path(folder) / "litserve" / "bin" / "python")
        if asked.litserve is None and "litserve-onnxruntime" in names:
            subprocess.run([sys.executable, "-m", "venv", str(Path(folder) / "litserve")], check=True)
            packages = ("litserve==0.2.19", "onnxruntime==1.32.0", "pillow==12.3.0", "numpy==2.4.6", "msgspec==0.22.0")
            subprocess.run([litserve, "-m", "pip", "install", "-q", *packages], check=True)
        figures: dict[str, Any] = {
            "images": len(bodies),
            "seconds": asked.seconds,
            "bare": bare(model, bodies, asked.seconds / 2),
        }
        print("bare", json.dumps(figures["bare"]))
        for name in names:
            port = free_port()
            command = [part.replace("{port}", str(port)) for part in commands(model, litserve)[name]]
            sent = [in_json(body) for body in bodies] if name.startswith("litserve") else bodies
            with server(command, port, sent[0]) as (process, cold):
                load(port, sent, 2, 1.0)  # warm
                found: dict[str, Any] = {"cold_start_seconds": cold}
                for n in CLIENTS:
                    before = cpu_seconds(process.pid)
                    one = load(port, sent, n, asked.seconds)
                    one["cpu_ms"] = 1000 * (cpu_seconds(process.pid) - before) / max(1, one["requests"])
                    one["of_bare"] = one["requests_per_second"] / figures["bare"]["images_per_second"]
                    found[f"{n}_clients"] = one
                found["megabytes"] = megabytes(process.pid)
            figures[name] = found
            print(name, json.dumps(found))
        # Once more, so that it shows whether the machine was as free at the end as at the beginning.
        figures["bare_afterwards"] = bare(model, bodies, asked.seconds / 2)
    figures["model"] = "mobilenetv2_100 probe, 224 pixels"
    figures["load_average"] = os.getloadavg()
    keep("serving", figures)


if __name__ == "__main__":
    main()
