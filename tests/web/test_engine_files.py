"""Where the engines' files come from: the wheel, the cache, npm; and what is said where they are none."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from facevalue.errors import FaceValueError, UsageError
from facevalue.web import engine_files
from facevalue.web.engine_files import ENGINES, NPM, expect_unchanged, fetch


@pytest.fixture
def nothing_carried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installation without the files, and an empty cache."""
    monkeypatch.setattr(engine_files, "CARRIED", tmp_path / "not-there")
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def npm(folder: Path, program: str) -> str:
    """A program of the name npm, written in Python; returns a PATH on which it is found first."""
    folder.mkdir(exist_ok=True)
    script = folder / ("npm.py" if os.name == "nt" else "npm")
    script.write_text(f"#!{sys.executable}\n{program}\n", encoding="utf-8")
    script.chmod(0o755)
    if os.name == "nt":
        (folder / "npm.cmd").write_text(f'@"{sys.executable}" "{script}" %*\n', encoding="utf-8")
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_without_npm_one_line_says_what_to_do(nothing_carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(nothing_carried))
    assert engine_files.missing() is not None
    with pytest.raises(UsageError, match=r"install Node\.js, which brings npm, and run again"):
        engine_files.engine_folder()
    assert not (nothing_carried / "cache").exists()


def test_npm_that_fails_is_one_line_and_leaves_nothing(nothing_carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", npm(nothing_carried / "bin", r"raise SystemExit('npm error code ENOTFOUND\nnpm error')"))
    with pytest.raises(FaceValueError, match=r"^npm cannot fetch .*: npm error code ENOTFOUND$"):
        engine_files.engine_folder()
    assert not list((nothing_carried / "cache").rglob("*.wasm*"))


def test_other_files_are_not_taken(nothing_carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origins = [file.origin for members in ENGINES.values() for file in members]
    program = f"""
from pathlib import Path
for origin in {origins!r}:
    path = Path("node_modules", origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("other")
"""
    monkeypatch.setenv("PATH", npm(nothing_carried / "bin", program))
    with pytest.raises(FaceValueError, match="is missing or was changed"):
        fetch(nothing_carried / "target")
    assert not (nothing_carried / "target").exists()


def test_a_changed_file_is_found(engines: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(engines, tmp_path / "engines")
    expect_unchanged(copy)
    path = next(iter(ENGINES["litert"])).path(copy / "litert")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(FaceValueError, match="was changed; remove"):
        expect_unchanged(copy)


def test_versions_are_exact_and_the_lock_names_no_registry() -> None:
    asked = json.loads((NPM / "package.json").read_text("utf-8"))["dependencies"]
    text = (NPM / "package-lock.json").read_text("utf-8")
    locked = json.loads(text)["packages"]
    assert "http" not in text
    for name, version in asked.items():
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")
        assert f"{name} {version}" in (NPM / "LICENCES.txt").read_text("utf-8")
    assert locked["node_modules/onnxruntime-web"]["license"] == "MIT"
    assert locked["node_modules/@litertjs/core"]["license"] == "Apache-2.0"


@pytest.mark.slow
@pytest.mark.network
def test_npm_gives_the_expected_files(nothing_carried: Path, notes: list[str]) -> None:
    folder = engine_files.engine_folder()
    assert folder.is_relative_to(nothing_carried / "cache")
    assert "every file has the expected hash" in notes[-1]
    assert engine_files.engine_folder() == folder  # and is not asked again
    assert len(notes) == 1
