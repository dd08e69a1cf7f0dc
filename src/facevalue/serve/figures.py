"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from facevalue.types import Prediction

LATENCIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@final
class Figures:
    """Counters of one server. A registry of its own: two servers in a process do not count for each other."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        r = self._registry
        self._requests = Counter("facevalue_requests", "Requests answered", ["path", "status"], registry=r)
        self._seconds = Histogram(
            "facevalue_request_seconds", "Time to answer a request", ["path"], buckets=LATENCIES, registry=r
        )
        self._predictions = Counter("facevalue_verdicts", "Images answered, by label", ["label"], registry=r)
        self._abstentions = Counter("facevalue_abstentions", "Images abstained on, by reason", ["reason"], registry=r)
        self._unreadable = Counter("facevalue_unreadable", "Files that are no readable image", registry=r)
        self._loads = Gauge("facevalue_model_loads", "Times that a model was taken in", registry=r)
        self._ready = Gauge("facevalue_ready", "1 while a model is served", registry=r)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered. ``path`` is a route of ours, never a client's text: labels must stay few."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def judged(self, predictions: Sequence[Prediction]) -> None:
        """Images were judged."""
        for prediction in predictions:
            if prediction.error is not None:
                self._unreadable.inc()
            elif prediction.label is not None:
                self._predictions.labels(prediction.label).inc()
            for reason in prediction.reasons:
                self._abstentions.labels(reason).inc()

    def text(self, *, ready: bool, loads: int) -> bytes:
        """All figures in Prometheus's text format."""
        self._ready.set(ready)
        self._loads.set(loads)
        return generate_latest(self._registry)
