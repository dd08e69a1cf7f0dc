"""The models that are served, and their replacement while they are."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import final

from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.card import CARD, ONNX, ModelCard
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.runtime import Predictor
from facevalue.serve.drift_watch import DriftWatch
from facevalue.support import progress

log = logging.getLogger("facevalue.serve")

Stamp = tuple[tuple[int, ...] | None, ...]

Models = Path | str | Sequence[Path | str] | Mapping[str, Path | str]
"""Model folders, as :func:`named_folders` takes them."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@final
class _Logged(progress.Silent):
    """What the runtime says of a model, such as that an engine is not used, goes to the log."""

    def note(self, text: str) -> None:
        log.warning("%s", text)


@final
class Loaded:
    """A model that was opened, and what is known of it while it serves.

    Attributes
    ----------
    version : 12 hexadecimal digits over all that makes its answers; evidence and comments on the card do not count.
    sha256 : of ``model.onnx``.
    """

    def __init__(self, name: str, folder: Path, predictor: Predictor) -> None:
        self.name = name
        self.folder = folder
        self.predictor = predictor
        self.card: ModelCard = predictor.card
        self.sha256 = self.card.files[ONNX]
        self.version = version_of(self.card)
        self.drift = DriftWatch(name, self.card.reference)

    @property
    def sees_faces(self) -> bool:
        """Whether the network gets crops of faces."""
        return self.predictor.gate is not None and self.predictor.card.preprocessing.face_margin is not None

    def watches_as(self, other: Loaded) -> bool:
        """Whether another gives the same answers, and compares images with the same ones for the drift alarm."""
        return self.version == other.version and self.card.reference == other.card.reference

    @property
    def identity(self) -> dict[str, str]:
        """What every answer says of the model that gave it."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


def version_of(card: ModelCard) -> str:
    """12 hexadecimal digits that change when answers may change."""
    return card.decision()[:12]


@final
class ServedModel:
    """Holds the last model that could be opened, and opens the folder anew when its files change.

    The new model is opened whole before it takes the old one's place; requests under way keep the old one. While the
    folder is broken, missing or half-copied, the old one goes on serving and :attr:`problem` says why.
    """

    def __init__(self, name: str, folder: Path, opened: Callable[[Path], Predictor]) -> None:
        self.name = name
        self.folder = folder
        self._open = opened
        self._lock = threading.Lock()
        self._tried: Stamp | None = None
        self.loaded: Loaded | None = None
        self.problem: str | None = None
        self.loads = 0

    def refresh(self) -> bool:
        """Look at the folder, and open it if it changed since it was last looked at; whether a model was taken in."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._tried:
                return False
            try:
                with progress.using(_Logged()):
                    predictor = self._open(self.folder)
                new = Loaded(self.name, self.folder, predictor)
            except FaceValueError as error:
                # Clients are told the model's name, and not where it lies.
                self._tried, self.problem = stamp, str(error).replace(str(self.folder), f"model {self.name}")
                log.error("model %s could not be loaded: %s%s", self.name, error, self._kept)
                return False
            except Exception as error:  # a card can be wrong in ways that nobody thought of
                self._tried, self.problem = stamp, f"model {self.name} cannot be opened ({type(error).__name__})"
                log.exception("model %s could not be loaded%s", self.name, self._kept)
                return False
            if self._stamp() != stamp:
                return False  # replaced while it was read: card and network may be of two models; look again
            if self.loaded is not None and self.loaded.watches_as(new):
                new.drift = self.loaded.drift  # evidence was added to the card: the same model goes on
            self._tried, self.problem, self.loaded = stamp, None, new
            self.loads += 1
            log.info(
                "serving %s version %s: %s in %s (%s)",
                self.name,
                new.version,
                new.card.network.name,
                predictor.engine,
                ", ".join(new.card.classes),
            )
            return True

    @property
    def _kept(self) -> str:
        return "" if self.loaded is None else "; the model before it goes on serving"

    def _stamp(self) -> Stamp:
        """What changes when a file is replaced, rewritten or made readable, without reading it."""

        def of(path: Path) -> tuple[int, ...] | None:
            try:
                facts = path.stat()
            except OSError:
                return None
            return (facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)

        return tuple(of(self.folder / name) for name in (CARD, ONNX, DETECTOR))


def named_folders(models: Models) -> dict[str, Path]:
    """Model folders by the name under which they are served: a folder's own name, unless one is given.

    Parameters
    ----------
    models : a folder, several (``NAME=FOLDER`` gives a name), or several by name.

    Raises
    ------
    UsageError
        There is none, a name cannot be in a URL, or two are the same.

    >>> named_folders(["models/faces", "second=models/faces"])
    {'faces': PosixPath('models/faces'), 'second': PosixPath('models/faces')}
    """
    if isinstance(models, Mapping):
        pairs = [(name, Path(folder)) for name, folder in models.items()]
    else:
        pairs = [_named(model) for model in ([models] if isinstance(models, str | Path) else models)]
    if not pairs:
        raise UsageError("Expected at least one model folder, but got none")
    found: dict[str, Path] = {}
    for name, folder in pairs:
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a model's name in a URL; choose one: NAME={folder}")
        if name in found:
            raise UsageError(f"two models are named {name}; choose a name for one: NAME={folder}")
        found[name] = folder
    return found


def _named(model: Path | str) -> tuple[str, Path]:
    name, equals, folder = str(model).partition("=")
    if equals and NAME.fullmatch(name) and not Path(model).is_dir():
        return name, Path(folder)
    # The name as typed, also where it is a link; `.` has none until it is resolved.
    return Path(model).name or Path(model).resolve().name, Path(model)
