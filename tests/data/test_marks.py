"""Marks of origin in data: a shortcut that the scan finds, and what preparing says that it removes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin

from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.groups import with_groups
from facevalue.data.prepare import Preparation, prepare
from facevalue.data.scan import scan

Fill = Callable[..., Path]


def with_settings(folder: Path) -> None:
    """Write a generator's settings of different lengths into each image below a folder."""
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", "Steps: 20, Seed: 1" + "0" * i)
        with Image.open(path) as image:
            image.load()
        image.save(path, pnginfo=info)


def test_marks_of_one_class_are_a_shortcut(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path, "made", "taken", n=20)
    with_settings(tmp_path / "made")
    found = find_shortcuts(with_groups(scan(tmp_path), None, None).readable)
    (marks,) = [fact for fact in found.facts if fact.fact == "marks of origin"]
    assert marks.auc == 1
    assert marks.usual == {"made": "prompt (100 %)", "taken": "none (100 %)"}
    assert found.warning is not None
    assert "marks of origin" in found.warning.text


def test_preparing_says_which_marks_it_removes(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path / "raw", "made", "taken", n=10)
    assert not prepare(tmp_path / "raw", tmp_path / "a", Preparation(size=32)).to_dict()["warnings"]
    with_settings(tmp_path / "raw" / "made")
    (found,) = prepare(tmp_path / "raw", tmp_path / "b", Preparation(size=32)).to_dict()["warnings"]
    assert found["code"] == "marks-removed"
    assert found["text"].startswith("10 of 20 images say something of their origin (generator settings 10); ")
    assert set(scan(tmp_path / "b").table["origin_marks"]) == {""}
