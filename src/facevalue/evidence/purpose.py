"""What a model is for, as its recipe says; for the report and the model cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from facevalue.evidence.card import ModelCard


class Purpose(NamedTuple):
    """``intended`` is empty if whoever trained the model did not say what it is for."""

    intended: str
    not_for: tuple[str, ...]


def purpose_of(card: ModelCard) -> Purpose:
    """What the recipe says in its table ``[purpose]``."""
    table = card.recipe.get("purpose") or {}
    return Purpose(str(table.get("intended", "")), tuple(map(str, table.get("not_for", ()))))
