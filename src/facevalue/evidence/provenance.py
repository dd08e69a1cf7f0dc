"""Where a result comes from: images, command, versions and time."""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from facevalue.evidence.record import Record

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGES = ("facevalue", "torch", "timm", "onnx", "onnxruntime", "numpy", "pillow", "scikit-learn")
_LONG = 200  # characters; a longer list or mapping is recorded by its type

_command: ContextVar[str] = ContextVar("facevalue_command", default="")


class Images(Protocol):
    """The facts about a set of images that a provenance needs."""

    @property
    def name(self) -> str:
        """The split (``train``, ``test``, …), or the folder."""

    @property
    def source(self) -> str:
        """The folder or manifest, as the user named it."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every image's bytes, label and split."""

    def __len__(self) -> int: ...


class Provenance(Record, frozen=True):
    """Where a result comes from.

    Attributes
    ----------
    fingerprint : SHA-256 over every image's bytes, label and split; paths do not count. Empty if no images are used.
    source : the folder or manifest, as the user named it.
    split : ``train``, ``validation``, ``calibration``, ``test``, or the name of another set of images.
    n : number of images.
    command : what the user typed, or the Python call.
    versions : of Python and of the packages that figures depend on.
    created : UTC, to the second, ISO 8601.
    seconds : duration of the work.
    seed : of the random draws; ``None`` if there were none.
    """

    fingerprint: str = ""
    source: str = ""
    split: str = ""
    n: int = 0
    command: str = ""
    versions: dict[str, str] = {}
    created: str = ""
    seconds: float = 0.0
    seed: int | None = None

    @staticmethod
    def of(images: Images, started: float, seed: int | None = None) -> Provenance:
        """The provenance of a result that is finished now.

        Parameters
        ----------
        images : the images it was measured on.
        started : ``time.perf_counter()`` when the work began.
        seed : of the random draws.
        """
        return Provenance.made(
            started, seed, fingerprint=images.fingerprint, source=images.source, split=images.name, n=len(images)
        )

    @staticmethod
    def made(
        started: float, seed: int | None = None, *, fingerprint: str = "", source: str = "", split: str = "", n: int = 0
    ) -> Provenance:
        """As :meth:`of`, with the facts of the images as arguments."""
        return Provenance(
            fingerprint=fingerprint,
            source=source,
            split=split,
            n=n,
            command=current_command(),
            versions=dict(versions()),
            created=now(),
            seconds=time.perf_counter() - started,
            seed=seed,
        )


def now() -> str:
    """The time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def versions() -> Mapping[str, str]:
    """Of Python, of the packages that figures depend on (those that are installed), and of the JPEG decoder."""
    from PIL import features

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # the runtime works without torch
    decoder = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    return {**found, decoder: str(features.version_feature("libjpeg_turbo") or features.version("jpg"))}


def current_command() -> str:
    """What the user typed, or the outermost Python call of a verb; empty outside a call."""
    return _command.get()


@contextmanager
def asked_by(command: str) -> Iterator[None]:
    """Record ``command`` in every provenance made inside the block, unless an outer block has set one."""
    if _command.get():
        yield
        return
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def recorded(verb: Callable[P, R]) -> Callable[P, R]:
    """Decorate a verb of the Python API: its call is the command, unless the command line has set one.

    >>> @recorded
    ... def evaluate(model, data, *, limit=None):
    ...     return current_command()
    >>> evaluate(Path("model"), object(), limit=[1, 2])
    "facevalue.evaluate('model', <object>, limit=[1, 2])"
    """

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        given = [_source_of(value) for value in args] + [
            f"{name}={_source_of(value)}" for name, value in kwargs.items()
        ]
        with asked_by(f"facevalue.{verb.__name__}({', '.join(given)})"):
            return verb(*args, **kwargs)

    return wrapped


def _source_of(value: Any) -> str:
    """A value as Python source; only the type of a long value or one that is not plain."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(_source_of, value))}]"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{_source_of(key)}: {_source_of(item)}" for key, item in value.items()) + "}"
    else:
        text = ""
    return text if 0 < len(text) <= _LONG else f"<{type(value).__name__}>"
