"""Seals: one hash per field of a saved card, so that a later change of the file is noticed and named.

They are computed from the JSON in the file, not from the record, so that a card stays sealed when a later version of
facevalue adds fields to its records. They find accidents and edits by hand. Whoever wants to deceive can seal again;
against that a folder is signed, see :mod:`facevalue.evidence.signing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

SEALS = "seals"
"""The card's field that holds them."""

_DECIDE_NOTHING = frozenset(
    "altered data evidence features_by format policy provenance recipe reference seals seconds_per_epoch".split()
)


def seals_of(card: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by the name of each field of a card, as plain JSON values.

    A field that is an object has one seal per key (``network.name``); evidence has one per entry.

    >>> list(seals_of({"threshold": 0.5, "network": {"name": "small"}, "evidence": [{"kind": "attack"}]}))
    ['threshold', 'network.name', 'evidence[0] (attack)']
    """
    return {name: hashlib.sha256(_canonical(value)).hexdigest() for name, value in _fields(card)}


def changed_fields(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that were changed, added or removed since the card was sealed; none without seals."""
    sealed = card.get(SEALS)
    if not isinstance(sealed, Mapping) or not sealed:
        return ()
    now = seals_of(card)
    return tuple(name for name in {**sealed, **now} if sealed.get(name) != now.get(name))


def decides(field: str) -> bool:
    """Whether predictions depend on the field; a field that this version does not know counts.

    >>> decides("threshold"), decides("evidence[0] (attack)"), decides("data.counts")
    (True, False, False)
    """
    return field.split(".", 1)[0].split("[", 1)[0] not in _DECIDE_NOTHING


def _fields(card: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in card.items():
        if name == SEALS:
            continue
        if name == "evidence" and isinstance(value, list):
            for i, entry in enumerate(value):
                kind = entry.get("kind", "?") if isinstance(entry, Mapping) else "?"
                yield f"evidence[{i}] ({kind})", entry
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
