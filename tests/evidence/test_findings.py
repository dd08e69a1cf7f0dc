"""Every finding has a code, every code is in the registry and on the page, and all warnings are findings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from facevalue.evidence.findings import DOCS, KINDS, Finding, distinct, finding, say


def test_a_code_that_is_not_registered_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no finding 'rumour'"):
        finding("rumour", "somebody said so")
    with pytest.raises(ValueError, match="there is no finding 'rumour'"):
        Finding(code="rumour", severity="info", text="somebody said so")
    with pytest.raises(msgspec.ValidationError, match="rumour"):
        msgspec.convert({"code": "rumour", "severity": "info", "text": ""}, Finding)
    with pytest.raises(msgspec.ValidationError, match="severity"):
        msgspec.convert({"code": "forgotten", "severity": "grave", "text": ""}, Finding)


def test_codes_are_kebab_case_and_meanings_one_sentence() -> None:
    for code, kind in KINDS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code), code
        assert re.fullmatch(r"[A-Z][^\n]+\.", kind.meaning), code


def test_it_survives_json_with_its_values() -> None:
    told = finding("forgotten", "fell", n=3, change=-1.0, of=("a", "b"), none=None, sure=True)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Finding) == told
    assert set(told.to_dict()) == {"code", "severity", "text", "values"}


def test_a_finding_is_printed_with_its_code(notes: list[str]) -> None:
    say([finding("forgotten", "accuracy fell"), finding("uneven-classes", "12 and 3")])
    assert notes == ["warning: accuracy fell [forgotten]", "note: 12 and 3 [uneven-classes]"]


def test_the_same_finding_is_kept_once() -> None:
    one, other = finding("forgotten", "fell", n=1), finding("forgotten", "fell by more", n=1)
    assert distinct([one, other, one]) == (one, other)


def test_the_page_has_a_section_for_every_code_and_no_other(root: Path) -> None:
    page = (root / "docs" / "findings.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    named = [section.partition("\n")[0] for section in sections]
    assert sorted(named) == sorted(KINDS)
    for name, section in zip(named, sections, strict=True):
        # The severity and the meaning are the registry's; then the page says what to do.
        kind = KINDS[name]
        assert section.startswith(f"{name}\n\n**{kind.severity}** · {kind.meaning}\n"), name
        assert re.search(r"^What to do: \S", section, flags=re.MULTILINE), name
    assert DOCS.endswith("docs/findings.md")


def _modules(root: Path) -> list[tuple[Path, ast.Module]]:
    paths = sorted((root / "src").rglob("*.py"))
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_every_code_is_used_and_every_use_is_registered(root: Path) -> None:
    used: set[str] = {"unclassified"}  # by the reader of old cards, as plain values
    for path, tree in _modules(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "finding":
                code = node.args[0]
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: a code is written out"
                used.add(str(code.value))
    assert used == set(KINDS)


def test_warnings_are_always_findings(root: Path) -> None:
    """No text begins with «warning:», and whatever is called ``warnings`` or ``notes`` holds findings."""
    for path, tree in _modules(root):
        for node in ast.walk(tree):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.lower().startswith("warning:"), where
            if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
                name = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", "")
                if name in ("warnings", "warning", "warned", "notes"):
                    assert "Finding" in ast.unparse(node.annotation), where
            if isinstance(node, ast.FunctionDef) and node.returns is not None and "warning" in node.name:
                assert "Finding" in ast.unparse(node.returns), where
