"""The templates of the pages, compiled once in a process: compiling takes longer than filling one in."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from facevalue.errors import MissingExtraError

if TYPE_CHECKING:
    import jinja2


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Where templates are found and how they are filled in.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", "train") from error
    return jinja2.Environment(
        loader=jinja2.PackageLoader("facevalue.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_template(name: str, **filters: Callable[..., object]) -> jinja2.Template:
    """A template of this package; it can use the ``filters``, which must be the same at every call.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    environment = _environment()
    environment.filters.update(filters)
    return environment.get_template(name)


def source_tables() -> Any:
    """The macros ``controls`` and ``left_out`` of ``templates/sources.html.j2``."""
    return page_template("sources.html.j2").module
