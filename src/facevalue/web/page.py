"""The page's HTML, and the folder of its scripts and styles."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

STATIC = Path(__file__).with_name("static")
"""Scripts, styles and icon. Nothing in it depends on a model."""

Engine = Literal["browser", "server"]
"""Who answers: the browser itself, or the server that the page comes from."""

_ENGINE = 'data-engine="browser"'


def page(engine: Engine) -> str:
    """``index.html``. Its paths are relative: ``static/`` lies beside it."""
    text = Path(__file__).with_name("index.html").read_text(encoding="utf-8")
    assert text.count(_ENGINE) == 1
    return text.replace(_ENGINE, f'data-engine="{engine}"')
