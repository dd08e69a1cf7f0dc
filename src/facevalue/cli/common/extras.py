"""Which commands need an extra that is not installed, so that the help says so before anybody tries."""

from __future__ import annotations

from importlib.util import find_spec

from rich.markup import escape

_MARK = {"train": "torch", "tune": "optuna", "serve": "fastapi"}
"""By extra: a package that is installed only with it."""

_BASE = ("predict", "check", "data get")
_OTHER = {"serve": ("serve",), "tune": ("train", "tune")}


def extras_of(verb: str) -> tuple[str, ...]:
    """The extras that a command needs besides the base install.

    >>> extras_of("predict"), extras_of("train"), extras_of("tune")
    ((), ('train',), ('train', 'tune'))
    """
    return () if verb in _BASE else _OTHER.get(verb, ("train",))


def panel(verb: str) -> str | None:
    """The heading of a command in the help if an extra is missing; ``None`` if the command can be used."""
    missing = [extra for extra in extras_of(verb) if not _there(_MARK[extra])]
    return escape(f"To use these: pip install 'facevalue[{','.join(missing)}]'") if missing else None


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
