"""``facevalue data scan`` on the command line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facevalue.evidence.findings import DOCS

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes in different formats, one contradiction, one unreadable file, and a name that looks like markup."""
    folder = tmp_path / "images"
    for label, suffix in (("cat", "jpg"), ("dog", "png")):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            coarse = np.random.default_rng([i, len(suffix), ord(label[0])]).integers(
                0, 256, (12, 12, 3), dtype=np.uint8
            )
            Image.fromarray(coarse).resize((64, 64)).save(folder / label / f"<b>[red]{i:02}.{suffix}")
    Image.open(folder / "cat/<b>[red]03.jpg").resize((50, 50)).save(folder / "dog/copy.png")
    (folder / "cat/bad.jpg").write_text("no image")
    return folder


def test_findings_page_and_manifest(shell: Shell, tmp_path: Path, images: Path) -> None:
    outputs = [tmp_path / name for name in ("found.json", "page.html", "manifest.parquet")]
    done = shell("data", "scan", images, "--json", outputs[0], "--page", outputs[1], "--manifest", outputs[2])
    assert done.returncode == 0, done.stderr
    found = json.loads(outputs[0].read_text())
    assert found["n"] == 61
    assert [Path(bad["path"]).name for bad in found["unreadable"]] == ["bad.jpg"]
    assert found["unreadable"][0]["reason"] == "is not an image in a known format"
    assert found["duplicate_groups"] == []
    [near] = found["near_duplicate_groups"]
    [contradiction] = found["contradictions"]
    assert (
        {Path(p).name for p in near} == {Path(p).name for p in contradiction["paths"]} == {"copy.png", "<b>[red]03.jpg"}
    )
    assert found["shortcut_auc"] > 0.95
    assert "format" in {fact["fact"] for fact in found["shortcut_features"]}
    assert found["label_errors"] is None
    assert "AUC of file facts" in done.stdout
    page = outputs[1].read_text()
    assert "&lt;b&gt;[red]03.jpg" in page
    assert "<b>[red]" not in page
    links = set(re.findall(r'href="(http[^"]*)"', page))
    assert links == {f"{DOCS}#{told['code']}" for told in [*found["warnings"], *found["notes"]]}
    assert not re.search(r"(?<!href=\")https?://|<script|\bsrc=\"(?!data:)", page)
    assert page.count("<img ") > 20
    table = pd.read_parquet(outputs[2])
    assert len(table) == 62
    again = shell("data", "scan", outputs[2], "--json", "-")
    assert json.loads(again.stdout)["fingerprint"] == found["fingerprint"]


def test_strict_is_exit_code_1_after_all_is_written(shell: Shell, tmp_path: Path, images: Path, lfw: Path) -> None:
    done = shell("data", "scan", images, "--strict", "--json", tmp_path / "found.json")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: file facts alone, without the images, predict the class")
    assert "[file-facts-tell-classes]" in done.stderr
    assert json.loads((tmp_path / "found.json").read_text())["n"] == 61
    one_class = shell("data", "scan", lfw / "face", "--strict")
    assert one_class.returncode == 0


def test_nothing_to_scan(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = shell("data", "scan", "empty")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert shell("data", "scan", "nowhere").returncode == 2
