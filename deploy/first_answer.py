"""How long `facevalue serve` takes to its first answer, and its memory then. Needs no packages: for use in the image.

    python first_answer.py MODEL IMAGE

Prints one line of JSON: the seconds from the start of the process to its first answer, the processor time that it took
(on a machine that does other things as well, the better measure), and its proportional memory.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_answered(port: int, image: bytes) -> bool:
    """Whether the server on this port predicts an image."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", image, {"Content-Type": "application/octet-stream"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main(model: str, image: str) -> None:
    """Start the server, ask it until it answers, print, and stop it."""
    body, port = Path(image).read_bytes(), free_port()
    start = time.perf_counter()
    process = subprocess.Popen(["facevalue", "serve", model, "--port", str(port), "--log-level", "error"])
    try:
        while not is_answered(port, body):
            if process.poll() is not None or time.perf_counter() - start > 60:
                sys.exit("the server did not start")
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        busy = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        kilobytes = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        figures = {"seconds": seconds, "cpu_seconds": busy, "megabytes": kilobytes / 1024}
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
