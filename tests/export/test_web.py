"""Web export: the site, and what it does not overwrite."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.export.litert import PYTHON
from facevalue.export.web import WebExporter
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.web import engine_files
from facevalue.web.site import SITE, unpacked_network

from .conftest import Make

pytestmark = pytest.mark.skipif(
    not engine_files.CARRIED.is_dir(), reason="the engines of the web page are not here; run: make web-engines"
)


def test_without_the_converter_the_site_has_onnx_runtime_alone_and_says_so(
    make: Make,
    agreed: Callable[[Classifier], ImageDataset],
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    classifier = make()
    report = WebExporter()(classifier, tmp_path / "site", agreed(classifier))
    assert any("runs on ONNX Runtime Web alone" in note for note in notes)
    site = json.loads((tmp_path / "site" / SITE).read_text("utf-8"))
    assert list(site["engines"]) == ["onnxruntime"]
    assert len(site["canaries"]) > 10
    assert report.label_agreement == 1
    assert report.engine["onnxruntime-web"] == "1.30.0"
    network = unpacked_network(tmp_path / "site", "onnxruntime")
    assert network is not None
    assert zlib.crc32(network) == site["engines"]["onnxruntime"]["model"]["crc32"]
    assert unpacked_network(tmp_path / "site", "litert") is None
    # A site may be replaced, another folder not.
    WebExporter()(classifier, tmp_path / "site", agreed(classifier))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="already exists and is not a folder of the target web"):
        WebExporter()(classifier, tmp_path / "mine", agreed(classifier))
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.slow
def test_a_network_that_litert_refuses_gets_a_site_with_onnx_runtime_alone(
    make: Make,
    agreed: Callable[[Classifier], ImageDataset],
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The converter is a Python that has none, so it ends as one that cannot convert a network."""
    monkeypatch.setenv(PYTHON, sys.executable)
    classifier = make()
    report = WebExporter()(classifier, tmp_path / "site", agreed(classifier))
    (note,) = [note for note in notes if "runs on ONNX Runtime Web alone" in note]
    assert "cannot convert this network: ModuleNotFoundError" in note
    assert list(json.loads((tmp_path / "site" / SITE).read_text("utf-8"))["engines"]) == ["onnxruntime"]
    assert report.answers_changed == 0


def test_what_a_browser_cannot_do_is_refused_and_nothing_is_written(
    make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    classifier = make()
    card = classifier.card.changed(preprocessing=Preprocessing(size=32, jpeg_gap=2))
    with pytest.raises(UsageError, match="which no browser does"):
        WebExporter()(classifier.changed(card=card), tmp_path / "site", face_images)
    assert not list(tmp_path.iterdir())


def test_numbers_by_their_bytes_come_back(tmp_path: Path) -> None:
    from facevalue.web.site import _network

    rng = np.random.default_rng(0)
    for data in (rng.standard_normal(5000).astype(np.float32).tobytes() + b"abc", bytes(4001)):
        (tmp_path / "plain").write_bytes(data)
        part = _network(tmp_path / "plain", tmp_path / "model" / "model.onnx.gz", tmp_path)
        (tmp_path / SITE).write_text(json.dumps({"engines": {"onnxruntime": {"model": part}}}), encoding="utf-8")
        assert unpacked_network(tmp_path, "onnxruntime") == data
        assert part["by_place"] == (data[:4] != bytes(4))
