"""The detector against OpenCV's own, and its parts against closed forms."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from facevalue.errors import UsageError
from facevalue.faces.yunet import OVERLAP, Detections, YuNet, suppressed
from facevalue.images.sources import upright

from .drawn import HEIGHT, KPS, WIDTH, detector, drawn

FILE = "face-detector/face_detection_yunet_2026may.onnx"


def theirs(model: Path, pixels: np.ndarray, score: float) -> Detections:
    """What OpenCV finds."""
    height, width = pixels.shape[:2]
    found = cv2.FaceDetectorYN.create(str(model), "", (width, height), score, OVERLAP, 5000).detect(
        np.ascontiguousarray(pixels[..., ::-1])
    )[1]
    rows = np.zeros((0, 15), np.float32) if found is None else found
    return Detections(rows[:, :4], rows[:, 4:14].reshape(-1, 5, 2), rows[:, 14])


def real(data: Path) -> Iterator[np.ndarray]:
    """Portraits, objects and photographs of other sizes, some scaled so that a side is no multiple of 32."""
    for pattern, step, most in (
        ("human-or-object/human/*/*.jpg", 300, 320),
        ("human-or-object/object/*/*.jpg", 600, 320),
        ("faces-more-sources/*/*/*", 120, 600),
    ):
        for i, path in enumerate(sorted(data.glob(pattern))[::step]):
            image = upright(path)
            image.thumbnail((most - 17 * (i % 3), most))
            yield np.asarray(image)


def drawings() -> Iterator[np.ndarray]:
    """Drawn faces, and noise. On images of 32 pixels OpenCV's own scores differ from one run to the next."""
    rng = np.random.default_rng(0)
    for width, height in ((200, 260), (97, 131), (70, 65)):
        yield rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.new("RGB", (width, height), (200, 220, 240))
        draw = ImageDraw.Draw(image)
        draw.ellipse((0.2 * width, 0.1 * height, 0.8 * width, 0.9 * height), fill=(235, 195, 165), outline="black")
        for x in (0.38, 0.62):
            draw.ellipse((x * width - 5, 0.4 * height - 3, x * width + 5, 0.4 * height + 3), fill="black")
        draw.line((0.4 * width, 0.7 * height, 0.6 * width, 0.7 * height), fill=(150, 40, 40), width=3)
        yield np.asarray(image)


@pytest.mark.data
@pytest.mark.parametrize("score", [0.9, 0.3])
def test_box_for_box_as_opencv(shared_data: Path, score: float) -> None:
    ours = YuNet((shared_data / FILE).read_bytes())
    compared = 0
    for pixels in (*real(shared_data), *drawings()):
        wanted, got = theirs(shared_data / FILE, pixels, score), ours.detect(pixels, score)
        assert len(got) == len(wanted), pixels.shape
        np.testing.assert_allclose(got.boxes, wanted.boxes, atol=0.01)
        np.testing.assert_allclose(got.landmarks, wanted.landmarks, atol=0.01)
        np.testing.assert_allclose(got.scores, wanted.scores, atol=1e-5)
        compared += len(got)
    assert compared > 15


def test_a_cell_says_where_the_face_is() -> None:
    found = YuNet(detector()).detect(np.asarray(drawn((83, 61), red=204)), 0.5)
    centre = np.array([84.0, 60.0])  # of the cell
    np.testing.assert_allclose(found.boxes, [[*(centre - (WIDTH / 2, HEIGHT / 2)), WIDTH, HEIGHT]], rtol=1e-5)
    np.testing.assert_allclose(found.landmarks[0], centre + 8 * KPS, rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.8], rtol=1e-5)
    assert len(YuNet(detector()).detect(np.asarray(drawn((83, 61), red=204)), 0.81)) == 0


boxes = st.lists(
    st.tuples(st.integers(-20, 100), st.integers(-20, 100), st.integers(1, 60), st.integers(1, 60), st.floats(0.1, 1)),
    max_size=25,
)


@given(boxes)
def test_the_same_boxes_are_kept_as_by_opencv(rows: list[tuple[int, int, int, int, float]]) -> None:
    found = np.array(rows, np.float32).reshape(-1, 5)
    kept = suppressed(Detections(found[:, :4], np.zeros((len(rows), 5, 2), np.float32), found[:, 4]))
    wanted = cv2.dnn.NMSBoxes([r[:4] for r in rows], found[:, 4].tolist(), 0.0, OVERLAP) if rows else []
    np.testing.assert_array_equal(kept.boxes, found[np.asarray(wanted, int).ravel(), :4])


def test_threads_share_one_detector() -> None:
    ours = YuNet(detector())
    images = [np.asarray(drawn((8 * i + 30, 60), seed=i)) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pixels: ours.detect(pixels, 0.5), images))
    for pixels, got in zip(images, together, strict=True):
        np.testing.assert_array_equal(got.boxes, ours.detect(pixels, 0.5).boxes)


@pytest.mark.parametrize("change", ["no onnx", "another network", "one size"])
def test_another_file_is_refused_in_one_line(change: str) -> None:
    model = onnx.load_from_string(detector())
    if change == "another network":
        model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"
    if change == "one size":
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 640
    data = b"no network" if change == "no onnx" else model.SerializeToString()
    with pytest.raises(UsageError, match=r"^found\.onnx (cannot be run|is not YuNet)[^\n]*$"):
        YuNet(data, "found.onnx")
