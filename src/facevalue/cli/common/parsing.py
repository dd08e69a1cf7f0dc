"""Parse typed values: fractions, lists, settings."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from facevalue.errors import UsageError
from facevalue.support.formats import number_in


def fractions(text: str, flag: str = "--eps") -> tuple[float, ...]:
    """Parse numbers separated by commas, each a decimal or a fraction.

    >>> fractions("1/255, 0.01")
    (0.00392156862745098, 0.01)

    Raises
    ------
    UsageError
        A part is not a number, or is negative.
    """
    values = []
    for part in words(text, flag):
        try:
            value = number_in(part)
        except ValueError as error:
            raise UsageError(f"{flag}: expected numbers such as 2/255 or 0.01, but got {part!r}") from error
        if value < 0:
            raise UsageError(f"{flag}: expected numbers of at least 0, but got {part!r}")
        values.append(value)
    return tuple(values)


def one_fraction(text: str, flag: str = "--eps") -> float:
    """Parse one number, a decimal or a fraction.

    >>> one_fraction("51/255")
    0.2

    Raises
    ------
    UsageError
        The text is not a number, is negative, or holds several numbers.
    """
    values = fractions(text, flag)
    if len(values) != 1:
        raise UsageError(f"{flag}: expected one number such as 4/255, but got {text!r}")
    return values[0]


def words(text: str, flag: str) -> tuple[str, ...]:
    """Parse names separated by commas.

    >>> words("fgsm, pgd", "--attacks")
    ('fgsm', 'pgd')

    Raises
    ------
    UsageError
        A name is empty.
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UsageError(f"{flag}: expected names or numbers separated by commas, but got {text!r}")
    return parts


def sizes_of(text: str | None) -> tuple[int, ...]:
    """Parse the sides of network inputs in pixels; empty for ``None``.

    >>> sizes_of("150, 300")
    (150, 300)

    Raises
    ------
    UsageError
        A size is not a whole number of at least 8.
    """
    if text is None:
        return ()
    sizes = words(text, "--size")
    if not all(size.isascii() and size.isdigit() and 8 <= int(size) <= 100_000 for size in sizes):
        raise UsageError(f"--size: expected pixels, whole numbers of at least 8, but got {text!r}")
    return tuple(map(int, sizes))


def classes_of(given: Sequence[str]) -> dict[str, str] | None:
    """Parse ``OLD=NEW`` names of classes, several separated by commas; ``None`` if there are none.

    >>> classes_of(["persons=human, things=object"])
    {'persons': 'human', 'things': 'object'}

    Raises
    ------
    UsageError
        A part has no ``=`` or no name, or a name is given twice.
    """
    found: dict[str, str] = {}
    for part in (part for text in given for part in text.split(",")):
        old, equals, new = (word.strip() for word in part.partition("="))
        if not old or not equals or not new:
            raise UsageError(f"--classes: expected OLD=NEW such as persons=human, but got {part.strip()!r}")
        if old in found:
            raise UsageError(f"--classes: {old} is given twice")
        found[old] = new
    return found or None


def settings_of(changes: Sequence[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` settings; a value is read as TOML if it is valid TOML, else as text.

    >>> settings_of(["augment.flip=true", "lr=1e-3", "optimizer=sgd"])
    {'augment.flip': True, 'lr': 0.001, 'optimizer': 'sgd'}

    Raises
    ------
    UsageError
        There is no ``=`` or no key, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for change in changes:
        key, equals, value = (part.strip() for part in change.partition("="))
        if not key or not equals:
            raise UsageError(f"--set: expected KEY=VALUE, but got {change!r}")
        if key in settings:
            raise UsageError(f"--set: {key} is given twice")
        try:
            settings[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key] = value
    return settings
