"""Look up an entry by name, with a helpful error for unknown names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from facevalue.errors import UsageError

T = TypeVar("T")


def look_up(registry: Mapping[str, T], name: str, kind: str) -> T:
    """The entry of this name.

    Parameters
    ----------
    kind : the word for an entry in messages, such as ``attack``.

    Raises
    ------
    UsageError
        There is no such entry; the message suggests a similar name and lists all.
    """
    if name in registry:
        return registry[name]
    raise UsageError(f"there is no {kind} {name!r}{did_you_mean(name, registry)}; there are: {', '.join(registry)}")


def did_you_mean(name: str, names: Iterable[str], most: int = 1) -> str:
    """A suggestion to add to a message about an unknown name; empty if no name is similar.

    >>> did_you_mean("fgms", ["fgsm", "pgd"])
    " (did you mean 'fgsm'?)"
    >>> did_you_mean("prayer", ["fgsm", "pgd"])
    ''
    """
    near = get_close_matches(name, list(names), most)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
