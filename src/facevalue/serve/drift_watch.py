"""The drift alarm of a served model: who is told, and which images count."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, final

from facevalue.evidence.score_reference import ScoreReference
from facevalue.runtime.accuracy_estimate import AccuracyEstimate
from facevalue.runtime.drift import ALARM, DriftMonitor, Statistic, Watched

log = logging.getLogger("facevalue.serve")

REMEMBERED = 4096
"""Images that are known again when they are sent once more."""


@final
class DriftWatch:
    """A :class:`DriftMonitor` that threads share, that logs its alarm, and that counts an image sent again only once.

    A client that retries, or a load test with one image, is no change of the world; an image counts as the same where
    its scores agree in five digits with one of the last :data:`REMEMBERED`.
    """

    def __init__(self, name: str, reference: ScoreReference | None) -> None:
        self.name = name
        self.reference = reference
        self.monitor = DriftMonitor(reference)
        self.accuracy = AccuracyEstimate()
        self.repeated = 0
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def observe(self, images: Iterable[tuple[Watched, float]]) -> None:
        """Take in some images, each with its calibrated probability of the predicted class."""
        with self._lock:
            for seen, confidence in images:
                key = f"{seen.novelty:.5g} {seen.margin:.5g}"
                if key in self._seen:
                    self._seen.move_to_end(key)
                    self.repeated += 1
                    continue
                self._seen[key] = None
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
                self.accuracy.add(confidence)
                for alarm in self.monitor.observe(seen):
                    log.warning(
                        "drift alarm for model %s: images are %s than before, told after %d images; "
                        "it stays until the model is replaced or the server restarted",
                        self.name,
                        alarm.change,
                        alarm.image,
                    )

    def by_statistic(self) -> dict[Statistic, tuple[float, bool]]:
        """Each statistic's wealth, and whether its alarm was raised."""
        with self._lock:
            alarms = self.monitor.alarms
            return {name: (wealth, name in alarms) for name, wealth in self.monitor.shares().items()}

    def to_dict(self) -> dict[str, Any]:
        """The state, for people and machines."""
        with self._lock:
            return self._to_dict()

    def _to_dict(self) -> dict[str, Any]:
        monitor = self.monitor
        alarm = monitor.alarm
        return {
            "alarm": alarm is not None,
            "statistic": None if alarm is None else alarm.statistic,
            "change": None if alarm is None else alarm.change,
            "alarm_after_images": None if alarm is None else alarm.image,
            "alarms": [found._asdict() for found in monitor.alarms.values()],
            "images": monitor.images,
            "repeated": self.repeated,
            "wealth": monitor.wealth,
            "alarm_at": ALARM,
            "accuracy_estimate": self.accuracy.to_dict(),
            "reference": "stream" if self.reference is None else self.reference.split,
            "reference_images": monitor.calibration,
        }
