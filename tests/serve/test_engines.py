"""OpenVINO in the place of ONNX Runtime: the same answers, and only where that is so."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from facevalue.errors import MissingExtraError, UsageError
from facevalue.runtime import open_folder
from facevalue.runtime.openvino_network import OpenVinoNetwork
from facevalue.serve import Settings
from facevalue.serve.served_model import ServedModel
from facevalue.support import machine

from .conftest import serving
from .test_predict import post


def test_same_answers_over_http(folder: Path, lfw: Path) -> None:
    """One image alone, and more than there are processors, with heat."""
    paths = sorted(lfw.rglob("*.png"))[:7]
    expected = open_folder(folder).predict(paths, heat=True)
    with serving(folder, engine="openvino") as client:
        alone = post(client, (paths[0].name, paths[0].read_bytes())).json()["results"]
        files = [("files", (path.name, path.read_bytes())) for path in paths]
        rows = client.post("/predict?heat=true", files=files).json()["results"]
        platform = client.get(f"/v2/models/{folder.name}").json()["platform"]
    assert platform == "openvino"
    assert alone[0]["probabilities"] == pytest.approx(expected[0].probabilities, abs=1e-5)
    for row, one in zip(rows, expected, strict=True):
        assert row["label"] == one.label
        assert row["probabilities"] == pytest.approx(one.probabilities, abs=1e-5)
        assert row["leaning"] == one.leaning
        np.testing.assert_allclose(row["heat"], one.heat, atol=1e-3)


def test_threads_share_a_network(folder: Path) -> None:
    network = OpenVinoNetwork(folder / "model.onnx")
    session = open_folder(folder)
    inputs = np.random.default_rng(0).integers(0, 256, (24, 3, 32, 32, 3), np.uint8)
    names = ["logits", "novelty"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pixels: network.run(names, {"pixels": pixels}), inputs))
    for pixels, (logits, novelty) in zip(inputs, found, strict=True):
        wanted = session.outputs(pixels)
        np.testing.assert_allclose(logits, wanted["logits"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(novelty, wanted["novelty"], rtol=1e-4)


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_processors(threads: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "threads", lambda: threads)
    network = OpenVinoNetwork(folder / "model.onnx")
    pixels = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
    (p,) = network.run(["probabilities"], {"pixels": pixels})
    np.testing.assert_allclose(p, open_folder(folder).outputs(pixels)["probabilities"], atol=1e-5)


def test_precision_without_a_figure_on_the_card_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="certify-runtimes"):
        open_folder(folder, engine="openvino", precision="bf16")
    with pytest.raises(UsageError, match="fp32 only"):
        open_folder(folder, precision="bf16")
    with pytest.raises(UsageError, match="`engine`"):
        open_folder(folder, engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="engine"):
        Settings(engine="tensorrt")  # type: ignore[arg-type]


def test_where_openvino_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("facevalue.runtime.scoring.engines.installed", lambda: False)
    with pytest.raises(MissingExtraError, match="openvino"):
        open_folder(folder, engine="openvino")
    assert open_folder(folder, engine="auto").engine == "onnxruntime fp32"


def test_other_answers_are_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``openvino`` is refused; with ``auto`` ONNX Runtime serves, and the log says why."""
    run = OpenVinoNetwork.run
    monkeypatch.setattr(OpenVinoNetwork, "run", lambda *a: [found + 0.01 for found in run(*a)])
    with pytest.raises(UsageError, match=r"differs by 0\.01"):
        open_folder(folder, engine="openvino")
    model = ServedModel("own", folder, Settings(engine="auto").opened)
    assert model.refresh()
    assert model.loaded is not None
    assert model.loaded.predictor.engine == "onnxruntime fp32"
    assert "ONNX Runtime is used" in caplog.text
