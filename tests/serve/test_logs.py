"""The server's logs: who requested what and how long it took, never the content of an image."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from facevalue.serve import logs

from .conftest import serving
from .test_predict import post


@pytest.fixture
def restored() -> Iterator[None]:
    """Loggers as they were, afterwards."""
    named = [logging.getLogger(name) for name in logs.LOGGERS]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in named]
    yield
    for one, handlers, level, propagate in before:
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


def test_a_line_for_each_request_and_none_for_probes(folder: Path, lfw: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facevalue")
    data = (lfw / "face" / "face-000.png").read_bytes()
    with serving(folder) as client:
        version = post(client, ("holiday.png", data)).json()["model"]["version"]
        client.get("/v2/health/ready")
        client.get("/v2/health/live")
        client.get("/metrics")
        client.get("/secret?token=abc", headers={"X-Request-ID": "mine-1"})
    lines = [record.getMessage() for record in caplog.records if record.name == "facevalue.serve.requests"]
    assert len(lines) == 2
    assert re.fullmatch(
        r"request_id=\w{16} method=POST path=/predict status=200 milliseconds=[\d.]+ "
        rf"model=model version={version} images=1",
        lines[0],
    )
    assert lines[1].startswith("request_id=mine-1 method=GET path=other status=404 ")
    assert "holiday" not in caplog.text
    assert "token" not in caplog.text


def test_probes_that_fail_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facevalue")
    with serving(tmp_path / "model") as client:
        client.get("/v2/health/ready")
    assert "path=/v2/health/ready status=503" in caplog.text


def test_request_ids(folder: Path) -> None:
    with serving(folder) as client:
        ids = {client.get("/v2").headers["X-Request-ID"] for _ in range(5)}
        assert len(ids) == 5
        assert client.get("/v2", headers={"X-Request-ID": "a.b-1"}).headers["X-Request-ID"] == "a.b-1"
        for bad in ("x" * 65, "a b", "<script>", ""):
            assert client.get("/v2", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad


def test_json_lines(folder: Path, capsys: pytest.CaptureFixture[str], restored: None) -> None:
    logs.set_up("json", "info")
    with serving(folder) as client:
        client.get("/nothing", headers={"X-Request-ID": "mine"})
    try:
        raise ValueError("x\ny")
    except ValueError:
        logging.getLogger("facevalue.serve").exception("it failed", extra={"request_id": "b"})
    logging.getLogger("asyncio").error("a task\nfailed")  # as other libraries do
    output = capsys.readouterr()
    assert output.out == ""
    lines = [json.loads(line) for line in output.err.splitlines()]
    (request,) = [line for line in lines if line["message"] == "request"]
    assert request.pop("milliseconds") >= 0
    assert request.pop("time").endswith("+00:00")
    assert request == {
        "level": "info",
        "logger": "facevalue.serve.requests",
        "message": "request",
        "request_id": "mine",
        "method": "GET",
        "path": "other",
        "status": 404,
    }
    assert lines[-2]["exception"].endswith("ValueError: x\ny")
    assert lines[-2]["request_id"] == "b"
    assert (lines[-1]["logger"], lines[-1]["message"]) == ("asyncio", "a task\nfailed")


def test_levels(folder: Path, capsys: pytest.CaptureFixture[str], restored: None) -> None:
    logs.set_up("plain", "warning")
    with serving(folder) as client:
        client.get("/v2")
    assert capsys.readouterr().err == ""
    logs.set_up("plain", "debug")
    with serving(folder) as client:
        client.get("/v2/health/live")
    assert "path=/v2/health/live status=200" in capsys.readouterr().err


def test_a_failure_of_the_server_is_json_and_logged(
    own_folder: Path, lfw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The network fails in the middle: its client gets 500 and an id that the log has, and others are served."""
    data = (lfw / "face" / "face-000.png").read_bytes()
    with serving(own_folder) as client:
        service = client.get("/v2/health/ready")
        assert service.status_code == 200
        from facevalue.runtime import predictor as runtime

        whole = runtime.Predictor.predict_pixels
        with pytest.MonkeyPatch.context() as patch:

            def broken(*_: object, **__: object) -> None:
                raise RuntimeError("no memory for /home/ann")

            patch.setattr(runtime.Predictor, "predict_pixels", broken)
            response = post(client, ("a.png", data))
        assert runtime.Predictor.predict_pixels is whole
        assert response.status_code == 500
        request_id = response.headers["X-Request-ID"]
        assert response.json() == {"error": f"the server failed; its log says more under {request_id}"}
        assert post(client, ("a.png", data)).status_code == 200
    assert f"request {request_id} failed" in caplog.text
    assert "no memory" in caplog.text
