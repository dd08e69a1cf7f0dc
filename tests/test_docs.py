"""The documentation site: it builds with strict links, asks for nothing outside, and lists what the program has."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

import msgspec
import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return tool("reference")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Not with ``--quiet``: then MkDocs counts no warnings, and ``--strict`` does nothing."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(120)
def test_the_site_asks_for_nothing_outside(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    loaded = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//""")
    for page in pages:
        assert not loaded.search(page.read_text(encoding="utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_command_and_option_is_in_the_reference(reference: ModuleType) -> None:
    from facevalue.cli import VERBS, app
    from facevalue.cli.data import VERBS as DATA_VERBS

    text = reference.commands()
    headings = re.findall(r"^## `(.+)`$", text, re.MULTILINE)
    assert set(headings) == {f"facevalue {v}" for v in VERBS} | {f"facevalue data {v}" for v in DATA_VERBS}
    attack = typer.main.get_command(app).commands["attack"]  # type: ignore[attr-defined]
    section = text.partition("## `facevalue attack`")[2].partition("\n## ")[0]
    flags = {flag for p in attack.params if p.param_type_name == "option" for flag in p.opts}
    assert flags <= set(re.findall(r"`(-[\w-]+)`", section))


def test_every_key_of_a_recipe_is_in_the_reference_with_a_meaning(reference: ModuleType) -> None:
    from facevalue.training.recipe import Recipe, built_in, read

    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \| ", reference.recipes(), re.MULTILINE))
    plain = read("probe").to_dict()
    keys = {key for key, value in plain.items() if not isinstance(value, dict)}
    tables = {f.name for f in msgspec.structs.fields(Recipe)} - keys
    keys |= {f"{table}.{key}" for table in tables for key in plain[table]}
    assert set(rows) == keys
    assert all(rows.values())
    assert all(f"### `{name}`" in reference.recipes() for name in built_in())


def test_every_record_of_the_card_is_in_the_reference(reference: ModuleType) -> None:
    from facevalue.evidence.card import ModelCard

    text = reference.card()
    assert {*msgspec.json.schema(ModelCard)["$defs"]} == set(re.findall(r"^### (\w+) \{", text, re.MULTILINE))
    assert "| `temperature` | number | divides the logits; fitted on" in text


def test_every_public_function_is_in_the_reference(reference: ModuleType) -> None:
    import facevalue

    named = set(re.findall(r"heading: facevalue\.([\w.]+)", reference.python_names()))
    assert {name for name in facevalue.__all__ if callable(getattr(facevalue, name))} == {
        name for name in named if "." not in name
    }
    attacks = {type(attack).__name__ for attack in facevalue.attacks.ATTACKS.values()}
    assert {f"attacks.{name}" for name in attacks} | {"sklearn.ImageClassifier"} <= named


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (int | None, "`int` or not set"),
        (int | Literal["all"], '`int` or `"all"`'),
        (tuple[float, ...], "`tuple[float, ...]`"),
    ],
)
def test_a_type_is_said_without_bars(reference: ModuleType, hint: object, said: str) -> None:
    assert reference.type_name(hint) == said


def test_meanings_are_not_taken_for_types() -> None:
    text = """What it does; see :func:`facevalue.train` and :class:`~facevalue.ImageDataset`.

Parameters
----------
eps : in [0, 1]; ``None``: a : b.
    More : here.
a, b : both.

Raises
------
UsageError
    Not : touched.
"""
    said = tool("docstrings").readable(text)
    assert "`facevalue.train` and `ImageDataset`" in said
    assert "eps\n    in [0, 1]; `None`: a : b.\n    More : here.\na, b\n    both." in said
    assert "    Not : touched." in said


def test_the_python_reference_gives_types_and_meanings(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert "dotted key" in page  # the meaning of train's `settings`
    assert ":class:" not in page
    assert "``" not in page
