"""The container's image, built and run without Docker: Debian's buildah and debootstrap, as root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import until

ROOT = Path(__file__).parents[2]
BUILDAH, DEBOOTSTRAP = shutil.which("buildah"), shutil.which("debootstrap")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (BUILDAH and DEBOOTSTRAP), reason="buildah and debootstrap are not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah with chroot isolation needs root"),
]

LIMIT = 200_000_000
"""Most bytes that the image adds to its base."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


IMAGE = "localhost/facevalue-under-test"


@pytest.fixture(scope="module")
def container(environment: dict[str, str]) -> Iterator[str]:
    done = subprocess.run([ROOT / "deploy" / "buildah.sh", IMAGE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    def buildah(*arguments: str) -> str:
        return subprocess.run(
            ["buildah", *arguments], env=environment, check=True, capture_output=True, text=True
        ).stdout

    name = buildah("from", IMAGE).strip()
    yield name
    buildah("rm", name)
    buildah("rmi", IMAGE)


def run(environment: dict[str, str], container: str, *command: str, mount: str | None = None) -> list[str]:
    mounts = ["-v", mount] if mount else []
    return ["buildah", "run", "--user", "10001:10001", *mounts, container, "--", *command]


def readable(folder: Path) -> None:
    """Let the image's user read a folder, and reach it."""
    for path in (folder, *folder.rglob("*"), *folder.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_size_user_and_contents(environment: dict[str, str], container: str) -> None:
    script = (
        "import json, os, pathlib; root = pathlib.Path('/opt/facevalue');"
        "size = sum(f.lstat().st_size for f in root.rglob('*') if not f.is_dir());"
        "parts = json.loads((root / 'sbom.cdx.json').read_text())['components'];"
        "print(size, os.getuid(), *sorted(part['name'] for part in parts))"
    )
    done = subprocess.run(
        run(environment, container, "python", "-c", script), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    size, user, *parts = done.stdout.split()
    assert int(size) <= LIMIT
    assert user == "10001"
    assert {"facevalue", "onnxruntime", "fastapi"} <= set(parts)
    assert not {"torch", "pip", "setuptools", "pandas"} & set(parts)
    told = subprocess.run(
        ["buildah", "inspect", "--type", "image", IMAGE], env=environment, check=True, capture_output=True, text=True
    )
    config = json.loads(told.stdout)["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert "/v2/health/ready" in config["Healthcheck"]["Test"][-1]


def test_the_first_answer(environment: dict[str, str], container: str, folder: Path, lfw: Path, tmp_path: Path) -> None:
    """The program that measures the cold start, with time to spare: other programs may run on this machine."""
    shutil.copytree(folder, tmp_path / "model")
    shutil.copy(lfw / "face" / "face-000.png", tmp_path / "a.png")
    readable(tmp_path)
    mounts = [part for mount in (f"{tmp_path}:/m:ro", f"{ROOT / 'deploy'}:/d:ro") for part in ("-v", mount)]
    command = ["buildah", "run", "--user", "10001:10001", *mounts, container, "--"]
    done = subprocess.run(
        [*command, "python", "/d/first_answer.py", "/m/model", "/m/a.png"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 10
    assert 30 < found["megabytes"] < 200
    assert "onnxruntime" not in done.stderr  # it says so where it would keep a number for its telemetry


def test_start_predict_replace_stop(
    environment: dict[str, str], container: str, own_folder: Path, another: Path, lfw: Path, tmp_path: Path
) -> None:
    own_folder.rename(own_folder.with_name("current"))
    models = own_folder.parent
    readable(models)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ("facevalue", "serve", "/m/current", "--port", str(port), "--log-format", "json")
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            run(environment, container, *command, mount=f"{models}:/m:ro"),
            env=environment,
            stderr=stream,
            start_new_session=True,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

                def is_ready() -> bool:
                    assert process.poll() is None, log.read_text()
                    try:
                        return client.get("/v2/health/ready").status_code == 200
                    except httpx.TransportError:
                        return False

                until(is_ready, 60)
                data = (lfw / "face" / "face-000.png").read_bytes()

                def labels() -> set[str]:
                    return set(client.post("/predict", files={"files": data}).json()["results"][0]["probabilities"])

                assert labels() == {"face", "not-face"}
                new = shutil.copytree(another, models / "new")
                for path in (new, *new.iterdir()):
                    path.chmod(0o755 if path.is_dir() else 0o644)
                (models / "current").rename(models / "old")
                new.rename(models / "current")
                until(lambda: labels() == {"cat", "dog"})
            os.killpg(process.pid, signal.SIGTERM)
            end = time.monotonic()
            process.wait(20)
            assert time.monotonic() - end < 15
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert '"message":"request"' in log.read_text()
    assert "Traceback" not in log.read_text()
