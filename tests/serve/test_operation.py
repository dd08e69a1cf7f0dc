"""Running a server: health, metrics, replacement of models, and what it loads and prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from facevalue.errors import ModelFolderError, UsageError
from facevalue.evidence.card import CARD, ONNX, ModelCard
from facevalue.serve import Settings, run

from .conftest import serving, until


def judged(client: httpx.Client, lfw: Path) -> dict[str, object]:
    data = (lfw / "face" / "face-000.png").read_bytes()
    response = client.post("/predict", files={"files": ("a.png", data)})
    assert response.status_code == 200, response.text
    row: dict[str, object] = response.json()["results"][0]
    return row


def test_card_and_health(client: httpx.Client, folder: Path) -> None:
    assert client.get("/card").json()["classes"] == ["face", "not-face"]
    whole = json.loads(ModelCard.load(folder).to_json())
    whole["provenance"]["command"] = ""
    assert client.get("/card").json() == whole
    assert client.get("/v2/health/live").json() == {"live": True}
    response = client.get("/v2/health/ready")
    assert response.status_code == 200
    answer = response.json()
    assert (answer["ready"], answer["detail"]) == (True, None)
    assert answer["models"]["model"]["drift"]["alarm"] is False
    assert "/predict" in client.get("/openapi.json").json()["paths"]


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("static/")
        link = f"/{link}"
        assert client.get(link).status_code == 200
        assert "https://" not in client.get(link).text


def test_metrics_count(folder: Path, another: Path, lfw: Path) -> None:
    with serving(folder) as client:
        label = judged(client, lfw)["label"]
        client.post("/predict", files={"files": b"text"})
        client.get("/no/such/path")
        text = client.get("/metrics").text
    assert f'facevalue_predictions_total{{label="{label}",model="model"}} 1.0' in text
    assert "facevalue_unreadable_total 1.0" in text
    assert 'facevalue_requests_total{path="/predict",status="422"} 1.0' in text
    assert 'facevalue_requests_total{path="other",status="404"} 1.0' in text
    assert 'facevalue_request_seconds_count{path="/predict"} 2.0' in text
    assert "no/such" not in text
    with serving(another) as client:
        row = judged(client, lfw)
        assert row["reasons"] == ["novel", "uncertain"]
        assert row["label"] is None
        text = client.get("/metrics").text
    assert 'facevalue_abstentions_total{model="another",reason="novel"} 1.0' in text
    assert "facevalue_predictions_total{" not in text


def test_not_ready_until_there_is_a_model(folder: Path, tmp_path: Path, lfw: Path) -> None:
    with serving(tmp_path / "model") as client:
        for path in ("/v2/health/ready", "/card"):
            assert client.get(path).status_code == 503
        response = client.post("/predict", files={"files": b"x"})
        assert response.status_code == 503
        assert "it does not exist" in response.json()["error"]
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/").status_code == 200
        shutil.copytree(folder, tmp_path / "model")
        until(lambda: client.get("/v2/health/ready").status_code == 200)
        assert judged(client, lfw)["label"]


def test_a_folder_replaced_by_renaming(own_folder: Path, another: Path, lfw: Path) -> None:
    with serving(own_folder) as client:
        assert "face" in judged(client, lfw)["probabilities"]  # type: ignore[operator]
        new = shutil.copytree(another, own_folder.with_name("new"))
        own_folder.rename(own_folder.with_name("old"))
        new.rename(own_folder)
        until(lambda: client.get("/card").json()["classes"] == ["cat", "dog"])
        assert "cat" in judged(client, lfw)["probabilities"]  # type: ignore[operator]


def test_a_link_replaced_by_another_is_followed(folder: Path, another: Path, tmp_path: Path, lfw: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    with serving(tmp_path / "current") as client:
        (tmp_path / "next").symlink_to(another)
        (tmp_path / "next").replace(tmp_path / "current")
        until(lambda: client.get("/card").json()["classes"] == ["cat", "dog"])


def test_a_broken_replacement_leaves_the_old_model_serving(own_folder: Path, another: Path, lfw: Path) -> None:
    with serving(own_folder) as client:
        before = judged(client, lfw)
        # As a slow copy does it: first one file, then the other.
        shutil.copy(another / CARD, own_folder / CARD)
        until(lambda: client.get("/v2/health/ready").json()["detail"] is not None)
        ready = client.get("/v2/health/ready")
        assert ready.status_code == 200
        assert "changed or damaged" in ready.json()["detail"]
        assert judged(client, lfw) == before
        shutil.copy(another / ONNX, own_folder / ONNX)
        until(lambda: client.get("/v2/health/ready").json()["detail"] is None)
        assert "cat" in judged(client, lfw)["probabilities"]  # type: ignore[operator]
        shutil.rmtree(own_folder)
        until(lambda: client.get("/v2/health/ready").json()["detail"] is not None)
        assert "cat" in judged(client, lfw)["probabilities"]  # type: ignore[operator]


def test_no_request_fails_while_the_model_is_replaced(own_folder: Path, another: Path, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    seen: set[str] = set()
    failures: list[object] = []
    stop = threading.Event()

    def ask(url: httpx.URL) -> None:
        with httpx.Client(base_url=url, timeout=30) as mine:
            while not stop.is_set():
                response = mine.post("/predict", files={"files": ("a.png", data)})
                if response.status_code == 200:
                    seen.update(response.json()["results"][0]["probabilities"])
                else:
                    failures.append(response.text)

    with serving(own_folder) as client:
        threads = [threading.Thread(target=ask, args=(client.base_url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: "face" in seen)
            for name in (ONNX, CARD):
                shutil.copy(another / name, own_folder / name)
            until(lambda: "cat" in seen)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failures == []


PROGRAM = """
import sys
from facevalue.serve import Settings, run
try:
    run(sys.argv[1], Settings(port=int(sys.argv[2])))
finally:
    heavy = {"torch", "timm", "pandas", "scipy", "sklearn", "onnx", "matplotlib", "pyarrow", "safetensors"}
    print("heavy:", sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_of_its_own(how: signal.Signals, folder: Path, lfw: Path, tmp_path: Path) -> None:
    """Logs on standard error, nothing on standard output, nothing heavy loaded, and an orderly end."""
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, "0"], stdout=subprocess.PIPE, stderr=stream, text=True
        )
        try:
            until(lambda: "startup complete" in log.read_text() or process.poll() is not None)
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read_text())
            assert found, log.read_text()
            with httpx.Client(base_url=found[1], timeout=30) as client:
                assert judged(client, lfw)["error"] is None
            os.kill(process.pid, how)
            output, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert output == ""
    assert "shutdown complete" in log.read_text()
    assert "Traceback" not in log.read_text()
    if how == signal.SIGINT:
        assert "heavy: []" in log.read_text()
        assert process.returncode == 0
    assert process.returncode in (0, -signal.SIGTERM)


def test_a_folder_that_cannot_be_opened_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="it does not exist"):
        run(tmp_path / "nothing", Settings(port=0))


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}.*choose another"):
            run(folder, Settings(port=port))


@pytest.mark.parametrize("host", ["..", "a" * 100, "no such host"])
def test_a_host_that_is_none(host: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        run(folder, Settings(host=host, port=0))


@pytest.mark.parametrize("bad", [{"port": 70_000}, {"max_files": 0}, {"max_pixels": 0}, {"gate": "dog"}])
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Settings(**bad)  # type: ignore[arg-type]
