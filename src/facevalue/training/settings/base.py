"""What all tables of a recipe have in common."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a recipe's tables: frozen and strict."""


def expect(good: bool, name: str, wanted: str, got: object) -> None:
    """Raise ``ValueError`` unless ``good``; msgspec turns it into a ``ValidationError``."""
    if not good:
        raise ValueError(f"expected {name} to be {wanted}, but got {got}")
