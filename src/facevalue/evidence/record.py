"""Base of all saved records: frozen, and strict when read."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from facevalue.support.html import ShownInNotebooks


class Record(ShownInNotebooks, msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the card and its parts."""

    def changed(self, **fields: Any) -> Self:
        """A new record with these fields replaced."""
        return msgspec.structs.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
