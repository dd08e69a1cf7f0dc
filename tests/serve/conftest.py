from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from facevalue.evidence.card import Abstention
from facevalue.serve import Settings, sockets
from facevalue.serve.served_model import named_folders
from facevalue.serve.start import server_of

from ..runtime.model_folders import write_model


@contextmanager
def serving(*folders: Path, **settings: object) -> Iterator[httpx.Client]:
    """A real server on a free port of this machine, and a client that talks to it."""
    chosen = Settings(**{"poll_seconds": 0.05, "grace_seconds": 2, **settings})  # type: ignore[arg-type]
    with sockets.listen("127.0.0.1", 0) as listener:
        server = server_of(named_folders(list(folders)), chosen)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            with httpx.Client(base_url=url, timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(folder)
    return folder


@pytest.fixture(scope="session")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with other classes, that abstains on everything."""
    folder = tmp_path_factory.mktemp("model") / "another"
    write_model(folder, classes=("cat", "dog"), seed=1, abstention=Abstention(confidence=1.0, novelty=0.001))
    return folder


@pytest.fixture
def own_folder(folder: Path, tmp_path: Path) -> Path:
    """A model folder that a test may break."""
    return shutil.copytree(folder, tmp_path / "models" / "own")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with serving(folder) as client:
        yield client


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until something holds; fails when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)
