"""``/docs``: the OpenAPI document as one plain page. FastAPI's own pages load scripts from other hosts."""

from __future__ import annotations

import html
from typing import Any


def docs_page(document: dict[str, Any]) -> str:
    """A page without scripts: every request, what it takes, and every answer with its fields."""
    parts = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(f"{method.upper()} {path}", operation))
    shapes = [_shape(name, shape) for name, shape in document.get("components", {}).get("schemas", {}).items()]
    info = document["info"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{_text(info["title"])} API</title><link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/docs.css"></head>
<body><main><h1>{_text(info["title"])} {_text(info["version"])}: the API</h1>
<p>{_text(info.get("description", ""))} For machines: <a href="/openapi.json">openapi.json</a>.</p>
{"".join(parts)}<h2>Shapes</h2>{"".join(shapes)}</main></body></html>
"""


def _operation(title: str, operation: dict[str, Any]) -> str:
    rows = [
        _row(f"{p['name']} ({p['in']})", _kind(p.get("schema", {})), p.get("description", ""))
        for p in operation.get("parameters", [])
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        rows.append(_row("body", _kind(content.get("schema", {}), raw=True), kind))
    answers = []
    for status, answer in operation["responses"].items():
        kinds = ", ".join(_text(kind) for kind in answer.get("content", {}))
        shape = next((_kind(c.get("schema", {}), raw=True) for c in answer.get("content", {}).values()), "")
        answers.append(_row(status, shape, f"{answer.get('description', '')} ({kinds})" if kinds else ""))
    taken = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f"<section><h2>{_text(title)}</h2><p>{_text(operation.get('description') or operation.get('summary', ''))}</p>"
        f"{taken}<h3>Answers</h3><table>{''.join(answers)}</table></section>"
    )


def _shape(name: str, shape: dict[str, Any]) -> str:
    rows = [_row(key, _kind(field), field.get("description", "")) for key, field in shape.get("properties", {}).items()]
    return (
        f'<section id="{_text(name)}"><h3>{_text(name)}</h3><p>{_text(shape.get("description", ""))}</p>'
        f"<table>{''.join(rows)}</table></section>"
    )


def _kind(schema: dict[str, Any], raw: bool = False) -> str:
    """A schema in a word or two, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_text(name)}">{_text(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and raw:
        return ", ".join(f"{_text(key)}: {_kind(field)}" for key, field in schema.get("properties", {}).items())
    known = schema.get("format") or schema.get("type") or "anything"
    return _text(" | ".join(map(str, schema["enum"])) if "enum" in schema else known)


def _row(name: object, kind: str, text: str) -> str:
    return f"<tr><th>{_text(name)}</th><td>{kind}</td><td>{_text(text)}</td></tr>"


def _text(value: object) -> str:
    return html.escape(str(value))
