"""How the user asked for what is being done: the command line, for the record beside every figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("facevalue_command", default="")


def current() -> str:
    """The command that was typed; empty where Python called."""
    return _current.get()


@contextmanager
def using(command: str) -> Iterator[None]:
    """What is recorded inside the block was asked for by ``command``."""
    token = _current.set(command)
    try:
        yield
    finally:
        _current.reset(token)
