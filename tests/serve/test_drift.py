"""The drift alarm and the estimate of accuracy, as clients see them."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facevalue.runtime.drift import DriftMonitor

from .conftest import serving, until


def photographs(n: int, quality: int, seed: int) -> list[bytes]:
    """Different images, all saved at one quality."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        buffer = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        coarse.resize((40, 40)).save(buffer, "JPEG", quality=quality)
        found.append(buffer.getvalue())
    return found


def counted(client: Any, images: int) -> dict[str, Any]:
    """The state when so many images are counted: the last ones are counted after their answers were sent."""
    for _ in range(200):
        state: dict[str, Any] = client.get("/drift").json()
        if state["images"] + state["repeated"] == images:
            break
        time.sleep(0.05)
    return state


def test_images_that_were_compressed_more(folder: Path) -> None:
    """The alarm says which statistic moved, wherever it is told; the estimate is the mean confidence."""
    confidences: list[float] = []
    with serving(folder) as client:

        def send(images: list[bytes]) -> None:
            for start in range(0, len(images), 25):
                part = images[start : start + 25]
                answer = client.post("/predict", files=[("files", ("a.jpg", one)) for one in part]).json()
                confidences.extend(max(row["probabilities"].values()) for row in answer["results"])

        send(photographs(200, 90, seed=0))
        before = client.get("/drift").json()
        send(photographs(100, 40, seed=1))
        state = counted(client, 300)
        metrics = client.get("/metrics").text
    assert before["alarms"] == []
    assert before["statistic"] is None
    found = {alarm["statistic"]: alarm for alarm in state["alarms"]}
    assert found["jpeg_quality"]["change"] == "of lower JPEG quality"
    assert 200 < found["jpeg_quality"]["image"] <= 260
    assert state["alarm"] is True
    assert f'facevalue_drift_alarm_by_statistic{{model="{folder.name}",statistic="jpeg_quality"}} 1.0' in metrics
    estimate = state["accuracy_estimate"]
    assert estimate["method"] == "average confidence"
    assert estimate["images"] == state["images"] == 300 - state["repeated"] > 280
    assert estimate["value"] == pytest.approx(np.mean(confidences), abs=0.01)
    assert f'facevalue_accuracy_estimate{{model="{folder.name}"}}' in metrics


def test_an_image_sent_again_counts_once(folder: Path) -> None:
    (image,) = photographs(1, 90, seed=0)
    with serving(folder) as client:
        for _ in range(3):
            client.post("/predict", files={"files": image})
        state = counted(client, 3)
    assert (state["images"], state["repeated"], state["accuracy_estimate"]["images"]) == (1, 2, 1)


def test_a_failure_of_the_alarm_is_logged_and_no_answer_s(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (image,) = photographs(1, 90, seed=0)
    with serving(folder) as client, pytest.MonkeyPatch.context() as patch:

        def broken(*_: object) -> None:
            raise RuntimeError("out of bets")

        patch.setattr(DriftMonitor, "observe", broken)
        assert client.post("/predict", files={"files": image}).status_code == 200
        until(lambda: "could not take in 1 images" in caplog.text)
    assert "out of bets" in caplog.text


def test_the_guide_has_the_measured_figures() -> None:
    root = Path(__file__).parents[2]
    guide = (root / "docs" / "guides" / "serve.md").read_text()
    kept = json.loads((root / "benchmarks" / "results" / "drift.json").read_text())

    def percent(*values: float) -> str:
        least, most = f"{100 * min(values):.1f}", f"{100 * max(values):.1f}"
        return f"{least} %" if len(values) == 1 else f"{least} to {most} %"

    def row(*sets: dict[str, float]) -> str:
        accuracy, estimate = ([one[key] for one in sets] for key in ("accuracy", "average_confidence"))
        return f"| {percent(*accuracy)} | {percent(*estimate)} |"

    for model, named in (
        ("human-or-object", ["another-camera", "jpeg-q5"]),
        ("real-or-ai", ["real/utkface", "ai/stylegan2-omi", "ai/stable-diffusion-2.1", "jpeg-q5"]),
    ):
        sets = kept["accuracy"][model]
        for name in named:
            assert row(sets[name]) in guide, (model, name)
        others = [one for name, one in sets.items() if name not in named]
        assert len(others) == 7
        assert row(*others) in guide, model
        assert f"{percent(others[0]['as_on_calibration_images'])} on calibration images" in guide
    for method in ("average_confidence", "as_on_calibration_images"):
        error = kept["accuracy_error"][method]
        for key in ("mean", "largest"):
            assert f" {100 * error[key]:.1f} " in guide
    assert f"no alarm in {kept['streams']} streams" in guide or kept["false_alarms"]
    for name in ("jpeg-q40", "jpeg-q20", "another-camera", "strangers-20-percent", "strangers-20-percent-saved-alike"):
        found = kept[name]
        delay = "more than 1,200" if found["median_delay"] > 1200 else f"{found['median_delay']:.0f}"
        assert f"| {delay} | {found['within_300'] * found['streams']:.0f} of {found['streams']} |" in guide, name


def test_network_inputs_have_no_jpeg_quality(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    with serving(folder) as client:
        assert client.post(f"/v2/models/{folder.name}/infer", json={"inputs": [tensor]}).status_code == 200
        text = client.get("/metrics").text
    assert f'facevalue_drift_wealth_by_statistic{{model="{folder.name}",statistic="jpeg_quality"}} 1.0' in text
