"""Reading a policy file; every table and value in it is asked whether it can be one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError
from facevalue.support import files
from facevalue.support.formats import number_in


def read_policy(path: Path) -> dict[str, Any]:
    """The table ``[require]`` of a policy file.

    Raises
    ------
    UsageError
        The file cannot be read, is not TOML, has other tables, or requires nothing.
    """
    document = files.read_toml(path, f"the policy {path}")
    other = sorted(document.keys() - {"require"})
    if other:
        raise UsageError(f"{path} has {other[0]!r}; a policy has one table, [require], and what stands below it")
    required = document.get("require")
    if not isinstance(required, dict) or not required.keys() - {"split"}:
        raise UsageError(f"{path} requires nothing; write figures below [require], such as accuracy_lower = 0.98")
    return required


def table(key: str, value: object) -> Mapping[str, Any]:
    """A table that holds something."""
    if not isinstance(value, dict) or not value:
        raise UsageError(f"Expected [require.{key}] to be a table with figures, but got {key} = {value!r}")
    return value


def tables(key: str, value: object) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables of a table, by name."""
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
        raise UsageError(f"Expected [require.{key}.NAME] to be a table, but got {key} = {value!r}")
    return list(value.items())


def number(key: str, value: object) -> float:
    """A finite number."""
    largest = sys.float_info.max  # isfinite cannot be asked of a huge integer
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -largest <= value <= largest:
        raise UsageError(f"Expected {key} to be a number, but got {repr(value)[:50]}")
    return value


def eps_of(key: str, value: object) -> float:
    """A number, or a fraction as a string: ``'4/255'``."""
    if isinstance(value, str):
        try:
            eps = number_in(value)
        except ValueError as error:
            raise UsageError(
                f"Expected {key} to be a number or a fraction such as '4/255', but got {value!r}"
            ) from error
    else:
        eps = number(key, value)
    if eps < 0:
        raise UsageError(f"Expected {key} to be at least 0, but got {value!r}")
    return eps


def unknown(key: str, known: list[str]) -> UsageError:
    """What to raise for a key that a policy does not know; the message lists those that it knows."""
    return UsageError(f"a policy knows no {key!r}; it knows {', '.join(known)}")
