"""OpenTelemetry traces: a span for each request, and one for each stage of each of its images. No image content."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, final

from facevalue.errors import MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider
    from starlette.types import Scope

Stage = Literal["queue", "decode", "network"]

Note = Callable[[Stage, float, float], None]
"""Takes a stage that an image went through, and when by ``time.perf_counter()`` it began and ended. Any thread's."""

_SPAN = "facevalue.span"


@final
class Tracing:
    """Makes the spans.

    Parameters
    ----------
    provider : where spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("facevalue", metadata.version("facevalue"))
        self._propagator = TraceContextTextMapPropagator()
        self._offset = time.time_ns() - time.perf_counter_ns()

    def begin(self, scope: Scope) -> None:
        """Begin a request's span, as part of the trace in its header ``traceparent`` if there is one."""
        from opentelemetry.trace import SpanKind

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = self._propagator.extract(headers)
        scope[_SPAN] = self._tracer.start_span(scope["method"], parent, SpanKind.SERVER)

    def end(self, scope: Scope, route: str, facts: Mapping[str, Any]) -> None:
        """End a request's span.

        Parameters
        ----------
        route : the route's pattern.
        facts : what the log is told of the request: status, model, version, number of images.
        """
        from opentelemetry.trace import Status, StatusCode

        span: Span = scope[_SPAN]
        span.update_name(f"{scope['method']} {route}")
        status = int(facts["status"])
        span.set_attributes(
            {"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status}
        )
        for name in ("request_id", "model", "version", "images"):
            if name in facts:
                span.set_attribute(f"facevalue.{name}", facts[name])
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def note(self, scope: Scope) -> Note:
        """What takes the stages of a request's images: each becomes a span below the request's."""
        from opentelemetry.trace import set_span_in_context

        parent = set_span_in_context(scope[_SPAN])

        def took(stage: Stage, begun: float, ended: float) -> None:
            span = self._tracer.start_span(stage, parent, start_time=self._nanoseconds(begun))
            span.end(self._nanoseconds(ended))

        return took

    def close(self) -> None:
        """Send what is not yet sent."""
        shutdown = getattr(self._provider, "shutdown", None)  # the API's provider has none, the SDK's has
        if shutdown is not None:
            shutdown()

    def _nanoseconds(self, moment: float) -> int:
        return int(moment * 1e9) + self._offset


def expect_sdk() -> None:
    """Say before anything is started that the extra ``otel`` is not installed.

    Raises
    ------
    MissingExtraError
        It is not.
    """
    for package in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            there = find_spec(package) is not None
        except ImportError:
            there = False
        if not there:
            raise MissingExtraError(package, "otel")


def to_collector() -> Tracing:
    """Traces that are sent to a collector by OTLP over HTTP; the variables ``OTEL_…`` say where.

    Raises
    ------
    MissingExtraError
        The extra ``otel`` is not installed.
    """
    expect_sdk()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "facevalue"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
