"""The command itself, in processes of its own: workers, an orderly stop, memory."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from facevalue.evidence.card import CARD, ONNX

from .conftest import until
from .test_drift import photographs
from .test_predict import huge_png


@contextmanager
def command(tmp_path: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``facevalue serve …`` on a free port, and its address."""
    log = tmp_path / "log"
    program = "from facevalue.cli import main; main()"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "serve", *map(str, arguments), "--port", "0"], stderr=stream, text=True
        )
        try:
            until(lambda: "listening on" in log.read_text() or process.poll() is not None, 60)
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read_text())
            assert found, log.read_text()
            until(lambda: is_ready(found[1]), 60)
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200
    return False


def children(pid: int) -> list[int]:
    found = [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
    # multiprocessing's resource tracker is a child as well.
    return [child for child in found if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def test_workers(folder: Path, lfw: Path, tmp_path: Path) -> None:
    """Both answer, count into one sum, are started again when they die, and stop together."""
    data = (lfw / "face" / "face-000.png").read_bytes()
    with command(tmp_path, folder, "--workers", 2, "--log-format", "json") as (process, url):
        until(lambda: len(children(process.pid)) == 2)
        first = children(process.pid)

        def ask() -> int:
            return httpx.post(f"{url}/predict", files={"files": data}, timeout=30).status_code

        assert [ask() for _ in range(20)] == [200] * 20

        def counted(figure: str) -> float:
            text = httpx.get(f"{url}/metrics").text
            return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(figure))

        assert counted("facevalue_batch_images_sum") == 20
        assert counted("facevalue_model_info{") == 1
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(children(process.pid)) == 2 and children(process.pid) != first, 60)

        def all_are_ready() -> bool:
            return (tmp_path / "log").read_text().count("startup complete") == 3

        until(all_are_ready, 60)
        assert [ask() for _ in range(10)] == [200] * 10
        assert counted("facevalue_batch_images_sum") == 30
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.returncode == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/v2")


def test_workers_are_one_server(own_folder: Path, another: Path, tmp_path: Path) -> None:
    """The one that is asked tells the states of both. Both take in a new model, and both end with their parent."""
    with command(tmp_path, own_folder, "--workers", 2) as (process, url):
        until(lambda: (tmp_path / "log").read_text().count("startup complete") == 2)
        images = photographs(24, 90, seed=0)
        with httpx.Client(base_url=url) as one:

            def watched() -> float:
                lines = one.get("/metrics").text.splitlines()
                return sum(float(line.split()[-1]) for line in lines if line.startswith("facevalue_drift_images{"))

            assert watched() == 0
            for image in images:  # each by a connection of its own
                assert httpx.post(f"{url}/predict", files={"files": image}, timeout=30).status_code == 200
            until(lambda: watched() == len(images))
            for name in (ONNX, CARD):
                shutil.copy(another / name, own_folder / name)
            until(lambda: (tmp_path / "log").read_text().count("serving own version") == 4)
            new = one.get("/models").json()["models"][0]

            def served() -> list[str]:
                text = one.get("/metrics").text
                return re.findall(r'facevalue_model_info{model="own",.*version="(\w+)"} 1.0', text)

            until(lambda: served() == [new["version"]])
            answers = [httpx.post(f"{url}/predict", files={"files": image}, timeout=30) for image in images]
            assert {answer.json()["model"]["version"] for answer in answers} == {new["version"]}
        process.kill()  # even then, no worker stays

        def nobody_answers() -> bool:
            try:
                httpx.get(f"{url}/v2", timeout=5)
            except httpx.TransportError:
                return True
            return False

        until(nobody_answers)


def test_accepted_requests_are_answered_before_the_end(folder: Path, tmp_path: Path) -> None:
    slow = huge_png(7_000, 7_000)
    statuses: list[int] = []

    def ask(url: str) -> None:
        statuses.append(httpx.post(f"{url}/predict", files={"files": slow}, timeout=60).status_code)

    with command(tmp_path, folder) as (process, url):
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: "facevalue_pending_images 3.0" in httpx.get(f"{url}/metrics", timeout=30).text)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        process.wait(20)
    assert statuses == [200, 200, 200]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_under_large_photographs(folder: Path, tmp_path: Path) -> None:
    """50 clients with 12 million pixels each: no more than some are decoded at a time, and all of it is given back."""
    coarse = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=93)
    photograph = buffer.getvalue()

    def megabytes(pid: int, kind: str) -> int:
        return int(re.findall(rf"{kind}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) // 1024

    with command(tmp_path, folder, "--time-limit", 120) as (process, url):

        def round_of_requests() -> list[int]:
            statuses: list[int] = []

            def ask() -> None:
                with httpx.Client(timeout=120) as own:
                    files = {"files": photograph}
                    statuses.extend(own.post(f"{url}/predict", files=files).status_code for _ in range(2))

            threads = [threading.Thread(target=ask) for _ in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return statuses

        idle = megabytes(process.pid, "VmRSS")
        assert set(round_of_requests()) == {200}
        time.sleep(3)  # it is given back when the server next looks at its models
        first = megabytes(process.pid, "VmRSS")
        assert set(round_of_requests()) == {200}
        time.sleep(3)
        assert megabytes(process.pid, "VmHWM") < idle + 350
        assert megabytes(process.pid, "VmRSS") < first + 20
        assert megabytes(process.pid, "VmRSS") < idle + 60
