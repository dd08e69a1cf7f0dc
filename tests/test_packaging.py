"""The repository's metadata: versions, extras, workflow and templates."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

LINTERS = {"import-linter", "mypy", "pandas-stubs", "ruff"}
"""Asked in the version of constraints.txt alone."""


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def requirements(project: dict[str, Any]) -> dict[str, Requirement]:
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    found = {asked.name.lower(): asked for asked in map(Requirement, lines)}
    return {name: asked for name, asked in found.items() if name != "facevalue"}


def pinned(file: Path) -> dict[str, Version]:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): Version(v) for name, v in (line.split("==") for line in lines)}


def test_the_oldest_versions_are_those_that_are_run(root: Path, project: dict[str, Any]) -> None:
    oldest = pinned(root / "constraints-minimum.txt")
    asked = requirements(project)
    tested = {name for name in asked if name not in LINTERS and not name.startswith("mkdocs")}
    assert set(oldest) == tested, (
        "constraints-minimum.txt names what pyproject.toml does, tools for lint and docs apart"
    )
    for name in tested:
        (lower,) = [Version(s.version) for s in asked[name].specifier if s.operator == ">="]
        # opencv's fourth number is its build, which requirements leave out.
        assert oldest[name].release[: len(lower.release)] == lower.release, f"{name}: {oldest[name]} is not {lower}"
        assert oldest[name] in asked[name].specifier


def test_the_newest_versions_are_those_that_are_run(root: Path, project: dict[str, Any]) -> None:
    newest = pinned(root / "constraints.txt")
    for name, asked in requirements(project).items():
        assert newest[name] in asked.specifier, f"{name}: {newest[name]}"


def test_the_version_is_said_in_one_place(root: Path, project: dict[str, Any]) -> None:
    heading = re.search(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert heading is not None
    assert heading[1] == project["version"]
    assert "version" not in yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    said = [path for path in (root / "src").rglob("*.py") if f'"{project["version"]}"' in path.read_text("utf-8")]
    assert said == []


def test_only_what_was_tested_is_declared(project: dict[str, Any]) -> None:
    systems = [name for name in project["classifiers"] if name.startswith(("Operating System", "Programming Language"))]
    assert systems == ["Operating System :: POSIX :: Linux", "Programming Language :: Python :: 3.11"]


def test_the_workflow_runs_existing_targets(root: Path) -> None:
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = {word for step in steps for word in re.findall(r"make ([a-z-]+)", step.get("run", ""))}
    assert called >= {"check", "test-all", "test-minimum"}
    assert called - {"docs"} <= targets
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {entry["system"] for entry in matrix["include"]} == {"windows-latest", "macos-latest"}


@pytest.mark.parametrize("name", ["bug", "data-problem", "feature"])
def test_issue_templates_are_forms(root: Path, name: str) -> None:
    form = yaml.safe_load((root / f".github/ISSUE_TEMPLATE/{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids)
    for part in form["body"]:
        assert part["type"] in ("textarea", "checkboxes")
        assert part["attributes"]["label"]


def test_pre_commit_runs_tools_that_are_installed(root: Path) -> None:
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "mypy", "lint-imports"]
    for hook in hooks:
        assert hook["language"] == "system"
        assert version({"lint-imports": "import-linter"}.get(hook["entry"].split()[0], hook["entry"].split()[0]))


SKIPS = """
import pytest

@pytest.mark.skipif(True, reason="chromium and chromedriver are not installed")
def test_browser():
    pass

@pytest.mark.skipif(True, reason="the real images are not at /nowhere; set FACEVALUE_DATA to where they are")
def test_data():
    pass

def test_package():
    pytest.importorskip("no_such_package")

@pytest.mark.xfail(strict=True, reason="is known")
def test_known():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", "3 skipped, 1 xfailed"), ("1", "1 failed, 1 skipped, 1 xfailed, 1 error")]
)
def test_what_is_skipped_in_ci_is_a_failure(root: Path, tmp_path: Path, ci: str, outcome: str) -> None:
    (tmp_path / "conftest.py").write_text((root / "tests" / "conftest.py").read_text("utf-8"), encoding="utf-8")
    (tmp_path / "test_skips.py").write_text(SKIPS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": ci},
    )
    assert outcome in done.stdout, done.stdout
