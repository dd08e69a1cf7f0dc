"""Tables of the controls of sources, shared by the model page and the data page."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def source_tables(environment: jinja2.Environment) -> Any:
    """The macros ``controls`` and ``left_out`` of ``templates/sources.html.j2``."""
    text = (resources.files("facevalue.reports") / "templates" / "sources.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).module
