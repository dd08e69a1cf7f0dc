"""What the server counts, for Prometheus."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from typing import Literal, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from facevalue.serve.drift_watch import DriftWatch
from facevalue.serve.served_model import ServedModel
from facevalue.types import Prediction

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
IMAGES = (1, 2, 3, 4, 6, 8, 12, 16, 32)

Stage = Literal["queue", "decode", "network"]


@final
class Figures:
    """Counters of one server. A registry of its own: two servers in a process do not count for each other.

    With several workers (``PROMETHEUS_MULTIPROC_DIR`` is set) each process writes its figures into that folder, and
    whichever is asked tells the sums; of drift the largest wealth and any alarm, and the lowest estimate of accuracy.
    Each process writes its states when :meth:`update` is called, so that has to be done now and then in all of them.
    """

    def __init__(self) -> None:
        self._registry = r = CollectorRegistry()
        self._lock = threading.Lock()
        self._shared = values.ValueClass is not values.MutexValue
        self._told: dict[str, tuple[str, str, str]] = {}
        self._requests = Counter("facevalue_requests", "Requests answered", ["path", "status"], registry=r)
        self._seconds = Histogram(
            "facevalue_request_seconds", "Time to answer a request", ["path"], buckets=SECONDS, registry=r
        )
        stages = Histogram(
            "facevalue_stage_seconds",
            "Time of an image in the queue and in decoding, and of a batch in the network",
            ["stage"],
            buckets=SECONDS,
            registry=r,
        )
        self._stages = {stage: stages.labels(stage) for stage in ("queue", "decode", "network")}
        self._batches = Histogram(
            "facevalue_batch_images", "Images in one run of the network", buckets=IMAGES, registry=r
        )
        self._predictions = Counter("facevalue_predictions", "Images answered", ["model", "label"], registry=r)
        self._abstentions = Counter("facevalue_abstentions", "Images abstained on", ["model", "reason"], registry=r)
        self._unreadable = Counter("facevalue_unreadable", "Files that are no readable image", registry=r)
        self._refusals = Counter("facevalue_refused", "Requests refused to protect the server", ["reason"], registry=r)
        self._dropped = Counter("facevalue_dropped", "Images dropped because their client had gone", registry=r)
        self._pending = self._gauge("pending_images", "Images accepted and not yet answered", mode="livesum")
        self._loads = self._gauge("model_loads", "Times that a model was taken in", "model")
        self._ready = self._gauge("ready", "1 while a model is served", "model", mode="livemin")
        self._info = self._gauge("model_info", "1 for the model that is served", "model", "version", "sha256")
        self._alarm = self._gauge("drift_alarm", "1 once traffic is unlike the calibration images", "model")
        self._wealth = self._gauge("drift_wealth", "Evidence of drift; an alarm is raised at 400", "model")
        self._by_statistic = self._gauge("drift_wealth_by_statistic", "The same, of one score", "model", "statistic")
        self._alarms = self._gauge("drift_alarm_by_statistic", "The same, of one statistic", "model", "statistic")
        self._accuracy = self._gauge(
            "accuracy_estimate",
            "Estimate of accuracy without labels: average confidence of the latest images",
            "model",
            mode="livemin",
        )
        self._watched = self._gauge("drift_images", "Images that the drift alarm has seen", "model", mode="livesum")

    def _gauge(
        self, name: str, text: str, *labels: str, mode: Literal["livemax", "livemin", "livesum"] = "livemax"
    ) -> Gauge:
        return Gauge(f"facevalue_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered. ``path`` is a route of ours, never a client's text: labels must stay few."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def stage(self, stage: Stage, seconds: float) -> None:
        """An image, or a batch in the network, has gone through a stage."""
        self._stages[stage].observe(seconds)

    def batch(self, n: int) -> None:
        """The network was run on ``n`` images."""
        self._batches.observe(n)

    def refused(self, reason: Literal["queue", "time", "memory"]) -> None:
        """A request was refused because the server is busy."""
        self._refusals.labels(reason).inc()

    def dropped(self) -> None:
        """An image was not judged, because nobody waits for it any more."""
        self._dropped.inc()

    def unreadable(self, n: int) -> None:
        """Files were no images."""
        self._unreadable.inc(n)

    def judged(self, model: str, predictions: Sequence[Prediction]) -> None:
        """Images were judged."""
        for prediction in predictions:
            if prediction.label is not None:
                self._predictions.labels(model, prediction.label).inc()
            for reason in prediction.reasons:
                self._abstentions.labels(model, reason).inc()

    def text(self, models: Iterable[ServedModel], pending: int) -> bytes:
        """All figures in Prometheus's text format."""
        self.update(models, pending)
        if not self._shared:
            return generate_latest(self._registry)
        summed = CollectorRegistry()
        MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
        return generate_latest(summed)

    @property
    def is_shared(self) -> bool:
        """Whether several processes tell their figures together."""
        return self._shared

    def update(self, models: Iterable[ServedModel], pending: int) -> None:
        """Set what is a state and not a count. Safe to call from several threads."""
        with self._lock:
            self._pending.set(pending)
            for model in models:
                self._ready.labels(model.name).set(model.loaded is not None)
                self._loads.labels(model.name).set(model.loads)
                if model.loaded is not None:
                    self._tell_identity(model.loaded.identity)
                    self._tell_drift(model.name, model.loaded.drift)

    def _tell_drift(self, model: str, drift: DriftWatch) -> None:
        state = drift.to_dict()
        self._alarm.labels(model).set(state["alarm"])
        self._wealth.labels(model).set(state["wealth"])
        self._watched.labels(model).set(state["images"])
        estimate = state["accuracy_estimate"]["value"]
        if estimate is not None:
            self._accuracy.labels(model).set(estimate)
        elif self._shared:
            self._accuracy.labels(model).set(math.inf)  # the lowest is told, so others' estimates count
        else:
            self._accuracy.remove(model)  # of the model before this one
        for statistic, (wealth, is_raised) in drift.by_statistic().items():
            self._alarms.labels(model, statistic).set(is_raised)
            self._by_statistic.labels(model, statistic).set(wealth)

    def _tell_identity(self, identity: dict[str, str]) -> None:
        present = (identity["name"], identity["version"], identity["sha256"])
        if present == self._told.get(present[0]):
            return
        earlier = self._told.get(present[0])
        if earlier is not None and self._shared:
            self._info.labels(*earlier).set(0)  # files that processes share cannot lose a line
        elif earlier is not None:
            self._info.remove(*earlier)
        self._told[present[0]] = present
        self._info.labels(*present).set(1)
