"""A model's card and report without what is nobody's business: local paths and commands."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from facevalue.evidence.card import ModelCard

_ABSOLUTE = re.compile(r"(?<![\w.:/<-])(?:~|[A-Za-z]:)?/(?:[^\s/'\"<>&,;:()]+/)+([^\s'\"<>&,;:()]*)")
"""A path of at least two parts in running text."""

_NO_TEXT = re.compile(r"""(<script\b.*?</script>|<style\b.*?</style>|data:[\w/+.-]+;base64,[\w+/=]+)""", re.DOTALL)
"""Where a page has slashes that are no paths."""

_LOCAL = ("source", "path", "teacher", "weights", "output", "data", "members")
"""Keys whose strings are files or folders: only the last part is told."""


def public_card(card: ModelCard) -> dict[str, Any]:
    """The card as plain values: commands left out, of every path the last part."""
    found: dict[str, Any] = json.loads(card.to_json())
    return {key: _public(key, value) for key, value in found.items()}


def public_report(page: str, card: ModelCard) -> str:
    """The report page with every path and command of the card taken out of its text."""
    secrets = sorted(set(_secrets("", json.loads(card.to_json()))), key=lambda pair: -len(pair[0]))
    for secret, shown in secrets:
        for form in {secret, html.escape(secret), html.escape(secret, quote=False), json.dumps(secret)[1:-1]}:
            page = page.replace(form, html.escape(shown))
    parts = _NO_TEXT.split(page)  # text, what is none, text, …
    return "".join(part if i % 2 else _ABSOLUTE.sub(r"…/\1", part) for i, part in enumerate(parts))


def _public(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _public(str(name), item) for name, item in value.items()}
    if isinstance(value, list):
        return [_public(key, item) for item in value]
    return _shown(key, value) if isinstance(value, str) else value


def _shown(key: str, text: str) -> str:
    if key == "command":
        return ""
    if key in _LOCAL and "/" in text:
        return text.rstrip("/").rpartition("/")[2]
    return _ABSOLUTE.sub(r"…/\1", text)


def _secrets(key: str, value: Any) -> list[tuple[str, str]]:
    """Strings of the card that are shown otherwise, and how."""
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in _secrets(str(name), item)]
    if isinstance(value, list):
        return [pair for item in value for pair in _secrets(key, item)]
    if not isinstance(value, str) or len(value) < 4 or _shown(key, value) == value:
        return []
    return [(value, _shown(key, value))]
