"""OpenTelemetry traces, taken by the SDK's exporter in memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from facevalue.errors import MissingExtraError
from facevalue.serve import Settings, run
from facevalue.serve.app import create_app

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def collected(folder: Path, *requests: dict[str, object]) -> Iterator[Sequence[ReadableSpan]]:
    """The spans of some requests to an application, in the order in which they ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def ask() -> None:
        app = create_app(folder, tracer_provider=provider)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://a") as own:
            for request in requests:
                await own.request(**request)  # type: ignore[arg-type]

    asyncio.run(ask())
    yield exporter.get_finished_spans()


def test_spans_by_stage(folder: Path, lfw: Path) -> None:
    files = [("files", (f"secret-{i}.png", (lfw / "face" / "face-000.png").read_bytes())) for i in range(2)]
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine"}
    request = {"method": "POST", "url": "/predict?heat=true", "files": files, "headers": headers}
    with collected(folder, request) as spans:
        whole = spans[-1]
        stages = spans[:-1]
    assert whole.name == "POST /predict"
    assert whole.kind is SpanKind.SERVER
    assert whole.parent is not None
    assert whole.context is not None
    assert f"{whole.context.trace_id:032x}" == TRACE
    assert f"{whole.parent.span_id:016x}" == PARENT
    told = dict(whole.attributes or {})
    version = told.pop("facevalue.version")
    assert len(str(version)) == 12
    assert told == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "facevalue.request_id": "mine",
        "facevalue.model": folder.name,
        "facevalue.images": 2,
    }
    names = [span.name for span in stages]
    assert (names.count("queue"), names.count("decode"), names.count("network")) == (4, 2, 2)
    for span in stages:
        assert span.parent is not None
        assert span.parent.span_id == whole.context.span_id
        assert whole.start_time <= span.start_time <= span.end_time <= whole.end_time + 1_000_000  # type: ignore[operator]
    assert not any("secret" in span.to_json() for span in spans)


def test_refusals_failures_and_probes(folder: Path) -> None:
    requests = [
        {"method": "GET", "url": "/v2/health/live"},
        {"method": "POST", "url": "/predict", "files": {"files": b"text"}},
        {"method": "GET", "url": "/no/such/path"},
    ]
    with collected(folder, *requests) as spans:
        found = [
            (span.name, (span.attributes or {})["http.response.status_code"]) for span in spans if span.parent is None
        ]
    assert found == [("POST /predict", 422), ("GET other", 404)]
    assert all(span.status.status_code is not StatusCode.ERROR for span in spans)


def test_no_model_is_an_error(tmp_path: Path) -> None:
    with collected(tmp_path / "none", {"method": "POST", "url": "/predict", "files": {"files": b"x"}}) as spans:
        (span,) = spans
    assert span.status.status_code is StatusCode.ERROR


def test_without_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names it, before the port is opened; without traces nothing of it is needed."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"facevalue\[otel\]"):
        run(folder, Settings(port=0, traces=True))
    with pytest.raises(MissingExtraError, match=r"facevalue\[otel\]"):
        create_app(folder, Settings(traces=True))
    assert create_app(folder)
