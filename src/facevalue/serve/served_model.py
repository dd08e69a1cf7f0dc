"""The model that is served, and its replacement while it is."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import final

from facevalue.errors import FaceValueError
from facevalue.evidence.card import CARD, ONNX
from facevalue.runtime import Predictor, open_folder

log = logging.getLogger("facevalue.serve")

Stamp = tuple[tuple[int, int, int] | None, ...]


@final
class ServedModel:
    """Holds the last predictor that could be opened, and opens the folder anew when its files change.

    The new model is opened whole before it takes the old one's place; requests under way keep the old one. While the
    folder is broken, missing or half-copied, the old one goes on serving and :attr:`problem` says why.
    """

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self.folder = folder
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._tried: Stamp | None = None
        self.predictor: Predictor | None = None
        self.problem: str | None = None
        self.loads = 0

    def refresh(self) -> bool:
        """Look at the folder, and open it if it changed since it was last looked at; whether a model was taken in."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._tried:
                return False
            try:
                predictor = open_folder(self.folder, max_pixels=self._max_pixels)
            except FaceValueError as error:
                self._tried, self.problem = stamp, str(error)
                kept = "" if self.predictor is None else "; the model before it goes on serving"
                log.error("the model could not be loaded: %s%s", error, kept)
                return False
            if self._stamp() != stamp:
                return False  # replaced while it was read: card and network may be of two models; look again
            self._tried, self.problem, self.predictor = stamp, None, predictor
            self.loads += 1
            log.info("serving %s (%s)", predictor.card.network.name, ", ".join(predictor.card.classes))
            return True

    def _stamp(self) -> Stamp:
        """What changes when a file is replaced or rewritten, without reading it."""

        def of(path: Path) -> tuple[int, int, int] | None:
            try:
                facts = path.stat()
            except OSError:
                return None
            return (facts.st_ino, facts.st_mtime_ns, facts.st_size)

        return tuple(of(self.folder / name) for name in (CARD, ONNX))
