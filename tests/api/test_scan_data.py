"""Scanning in Python, and what training keeps of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import facevalue
from facevalue.api.train import _prepared
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.errors import DataError
from facevalue.training.label_errors import suspicious_labels
from facevalue.training.recipe import read


@pytest.fixture
def by_size(lfw: Path, tmp_path: Path) -> Path:
    """Real images whose classes differ in size."""
    for label, side in (("face", 25), ("not-face", 31)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for path in sorted((lfw / label).iterdir())[:60]:
            Image.open(path).resize((side, side)).save(tmp_path / "set" / label / path.name)
    return tmp_path / "set"


def test_a_shortcut_is_found_and_stays_with_training(by_size: Path) -> None:
    found = facevalue.scan_data(by_size)
    assert found.shortcuts.auc is not None
    assert found.shortcuts.auc > 0.99
    assert {"width", "height"} <= {fact.fact for fact in found.shortcuts.facts}
    [warning] = _prepared(by_size, read("scratch"), None).warnings
    assert warning == found.shortcuts.warning


def test_label_errors_with_an_untrained_network(by_size: Path) -> None:
    manifest = with_groups(scan(by_size))
    suspects = suspicious_labels(manifest, "small-resnet", "none")
    assert suspects
    assert all(s.label != s.suggested for s in suspects)
    assert {s.path for s in suspects} < set(manifest.table["path"])
    with pytest.raises(DataError, match="only one class"):
        suspicious_labels(with_groups(scan(by_size / "face", loose=True)), "small-resnet", "none")
