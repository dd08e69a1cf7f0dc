"""Make the project's docstrings readable for mkdocstrings.

Parameters are written ``name : what it means``; numpydoc takes the meaning for a type, and the signature has that
already. Roles such as ``:func:`a.b``` and double backticks become Markdown.
"""

from __future__ import annotations

import re

import griffe

SECTION = re.compile(r"^(Parameters|Attributes|Other Parameters)\n-{3,}\n((?:(?!\n\n\S).)*)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^(\*{0,2}\w[\w, *]*) : (?=\S)", re.MULTILINE)
ROLE = re.compile(r":\w+:`(~?)([\w.]+)`")


def readable(text: str) -> str:
    """A docstring in which meanings stand below their names, and code is marked as Markdown does."""
    text = SECTION.sub(lambda section: ENTRY.sub(r"\1\n    ", section[0]), text)
    text = ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text)
    return text.replace("``", "`")


class ReadableDocstrings(griffe.Extension):
    """Applies :func:`readable` to every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)
