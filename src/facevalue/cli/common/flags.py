"""Translate messages: the library names Python parameters between backticks, the command line shows flags."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import typer

_ArgumentInfo: type[Any] = type(typer.Argument())

_names: ContextVar[Mapping[str, str]] = ContextVar("facevalue_flags", default={})  # noqa: B039 - never changed


@contextmanager
def using(names: Mapping[str, str]) -> Iterator[None]:
    """Inside the block, :func:`translated` uses these flags."""
    token = _names.set(names)
    try:
        yield
    finally:
        _names.reset(token)


def of(signature: inspect.Signature) -> dict[str, str]:
    """The flag of each parameter of a command."""
    names = {name: _typed(parameter) for name, parameter in signature.parameters.items()}
    # The recipe's settings have different names in Python and as a flag, and so has the folder of predictions.
    differing = {"settings": names.get("changes", "--set")}
    if "parquet" in names:
        differing["output"] = names["parquet"]
    return {**names, **differing}


def translated(line: str, names: Mapping[str, str] | None = None) -> str:
    """A message with flags in place of Python parameters.

    >>> translated("say where with `old`, or `save=False`, and not `other`", {"old": "--old", "save": "--save"})
    'say where with --old, or --no-save, and not `other`'
    """
    known = _names.get() if names is None else names
    line = re.sub(r"`(\w+)=False`", lambda found: "--no-" + found[1].replace("_", "-"), line)
    return re.sub(r"`(\w+)`", lambda found: known.get(found[1], found[0]), line)


def _typed(parameter: inspect.Parameter) -> str:
    for info in getattr(parameter.annotation, "__metadata__", ()):
        if isinstance(info, _ArgumentInfo):
            return str(info.metavar or parameter.name.upper())
        declared = [flag for flag in getattr(info, "param_decls", None) or () if flag.startswith("--")]
        if declared:
            return str(declared[0])
    return "--" + parameter.name.replace("_", "-")
