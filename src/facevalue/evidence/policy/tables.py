"""Read a policy file and check its tables and values."""

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
        raise UsageError(f"{path} has {other[0]!r}; a policy has only the table [require] and its sub-tables")
    required = document.get("require")
    if not isinstance(required, dict) or not required.keys() - {"split"}:
        raise UsageError(f"{path} requires nothing; write figures below [require], such as accuracy_lower = 0.98")
    return required


def table(key: str, value: object) -> Mapping[str, Any]:
    """``value`` as a table that is not empty."""
    if not isinstance(value, dict) or not value:
        raise UsageError(f"Expected [require.{key}] to be a table with figures, but got {key} = {value!r}")
    return value


def tables(key: str, value: object) -> list[tuple[str, Mapping[str, Any]]]:
    """The sub-tables of a table, by name."""
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
        raise UsageError(f"Expected [require.{key}.NAME] to be a table, but got {key} = {value!r}")
    return list(value.items())


def number(key: str, value: object) -> float:
    """A finite number."""
    largest = sys.float_info.max  # math.isfinite fails for huge integers
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
    """The error for an unknown key; its message lists the known keys."""
    return UsageError(f"a policy has no key {key!r}; the keys are: {', '.join(known)}")
