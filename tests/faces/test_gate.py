"""The gate: which face, and whether it is answered for."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue.faces.gate import FaceGate, inside, turned_back
from facevalue.faces.geometry import roll_of, turn_of
from facevalue.faces.model_file import published_gate
from facevalue.faces.yunet import YuNet
from facevalue.images.resize import resize
from facevalue.images.sources import upright

from .drawn import HEIGHT, WIDTH, detector, drawn, facts, gate

FILE = "face-detector/face_detection_yunet_2026may.onnx"


def test_no_face_is_one_row_without_a_box() -> None:
    (seen,) = gate().look(drawn())
    assert seen == (None, None, 0, "no_face", "no face was found")
    assert gate().look(drawn(), "all") == (seen,)


def test_a_face_has_its_box_in_pixels_of_the_image() -> None:
    (seen,) = gate().look(drawn((80, 60)))
    assert seen == ((84 - WIDTH // 2, 60 - HEIGHT // 2, WIDTH, HEIGHT), 0, 1, None, None)
    # Looked at in half of its size, so the same detector finds a box twice as large.
    large = drawn((80, 60)).resize((640, 480), Image.Resampling.NEAREST)
    (twice,) = gate(longest=(320,)).look(large)
    assert twice.box is not None
    assert twice.box[2:] == (2 * WIDTH, 2 * HEIGHT)


def test_a_box_ends_where_the_image_ends() -> None:
    (seen,) = gate().look(drawn((4, 116)))
    assert seen.box == (0, 116 - HEIGHT // 2, 4 + WIDTH // 2, 4 + HEIGHT // 2)


def test_of_several_faces_the_largest_or_each() -> None:
    two = drawn((40, 60), (120, 60))
    (seen,) = gate().look(two)
    assert (seen.face, seen.faces, seen.reason) == (0, 2, "gate_unsure")
    assert str(seen.detail).startswith("several: there are 2 faces")
    assert gate(rival=1.0).look(two)[0].reason == "gate_unsure"  # both are equally large
    each = gate().look(two, "all")
    assert [(one.face, one.faces, one.reason) for one in each] == [(0, 2, None), (1, 2, None)]
    assert {one.box for one in each} == {(20, 28, WIDTH, HEIGHT), (100, 28, WIDTH, HEIGHT)}


@pytest.mark.parametrize(
    ("limits", "red", "words"),
    [
        ({"smallest": 49}, 255, "small: the face has 48 pixels, at least 49 are needed"),
        ({}, 150, "covered or faint: what may be a face has a score of 0.59, at least 0.8 is needed"),
        ({"turn": 0.05}, 255, "turned: the face looks too far to a side, up or down"),
    ],
)
def test_what_is_in_doubt_is_said_in_words(limits: dict[str, float], red: int, words: str) -> None:
    (seen,) = gate(**limits).look(drawn((80, 60), red=red))
    assert (seen.reason, seen.detail) == ("gate_unsure", words)
    assert seen.box == (60, 28, WIDTH, HEIGHT)
    assert gate(smallest=48).look(drawn((80, 60)))[0].reason is None


def test_below_the_limit_of_doubt_there_is_nothing() -> None:
    assert gate(doubt=0.6).look(drawn((80, 60), red=150))[0].reason == "no_face"


def test_all_faces_are_found_at_every_scale_and_once() -> None:
    image = drawn((80, 60)).resize((640, 480), Image.Resampling.NEAREST)
    each = gate(longest=(320, 640), smallest=1).look(image, "all")
    # The dot is as large as 4 x 4 cells there, and what overlaps is one face.
    assert each[0].box is not None
    assert each[0].box[2:] == (2 * WIDTH, 2 * HEIGHT)
    assert len({one.box for one in each}) == len(each)


def test_a_box_is_turned_back_with_its_image() -> None:
    pixels = np.zeros((50, 100), np.uint8)
    pixels[5:25, 60:70] = 1
    for quarters in range(4):
        rows, columns = np.nonzero(np.rot90(pixels, quarters))
        box = np.array([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1])
        assert turned_back(box, quarters, (100, 50)).tolist() == [60, 5, 10, 20]


def test_a_box_outside_keeps_a_pixel() -> None:
    assert inside(np.array([120.0, -50.0, 10.0, 20.0]), (100, 40)) == (99, 0, 1, 1)


def test_landmarks_on_a_line_are_turned() -> None:
    assert turn_of(np.zeros((5, 2))) == np.inf
    assert turn_of(np.array([[0, 0], [10, 0], [5, 0], [2, 0], [8, 0]], float)) == np.inf
    assert roll_of(np.array([[0, 0], [0, 10], [5, 5], [9, 0], [9, 10]], float)) == 90


def test_a_gate_goes_to_other_processes_and_is_never_copied() -> None:
    ours = gate(smallest=20)
    again = pickle.loads(pickle.dumps(ours))
    assert isinstance(again, FaceGate)
    assert again.facts == ours.facts == facts(smallest=20)
    assert again.look(drawn((80, 60))) == ours.look(drawn((80, 60)))
    assert deepcopy(ours) is ours
    assert again.detector.model == YuNet(detector()).model


@pytest.fixture(scope="module")
def real(shared_data: Path) -> FaceGate:
    return published_gate(shared_data / FILE)


@pytest.fixture(scope="module")
def portraits(shared_data: Path) -> list[Image.Image]:
    paths = sorted((shared_data / "human-or-object" / "human").glob("*/*.jpg"))[::60]
    return [upright(path) for path in paths]


@pytest.mark.data
def test_portraits_pass_and_objects_do_not(real: FaceGate, portraits: list[Image.Image], shared_data: Path) -> None:
    reasons = [real.look(image)[0].reason for image in portraits]
    assert reasons.count(None) >= 0.97 * len(portraits)  # 51 images; the benchmark counts all
    paths = sorted((shared_data / "human-or-object" / "object").glob("*/*.jpg"))[::60]
    assert sum(real.look(upright(path))[0].reason is None for path in paths) <= 1


@pytest.mark.data
def test_an_astronaut_is_a_face(real: FaceGate) -> None:
    from skimage import data

    whole = upright(data.astronaut())
    (seen,) = real.look(whole)
    assert seen.reason is None
    assert seen.box is not None
    x, y, width, height = seen.box
    assert x < 225 < x + width  # the nose
    assert y < 130 < y + height


@pytest.mark.data
@pytest.mark.parametrize(
    ("quarters", "words"),
    [(1, "turned: the face lies on its side"), (2, "turned: the face is upside down"), (3, "turned: the face lies on")],
)
def test_turned_images_are_said_to_be_turned(
    real: FaceGate, portraits: list[Image.Image], quarters: int, words: str
) -> None:
    found = [real.look(image.rotate(90 * quarters, expand=True))[0] for image in portraits[::2]]
    assert all(seen.reason == "gate_unsure" for seen in found)
    assert sum(str(seen.detail).startswith(words) for seen in found) >= 0.9 * len(found)
    original = real.look(portraits[0])[0].box
    turned = real.look(portraits[0].rotate(180))[0].box
    assert original is not None
    assert turned is not None
    x, y, width, height = turned
    back = (portraits[0].width - x - width, portraits[0].height - y - height, width, height)
    assert np.abs(np.subtract(back, original)).max() < 30


@pytest.mark.data
def test_tiny_faces_are_not_answered_for(real: FaceGate, portraits: list[Image.Image]) -> None:
    # A face is about half as high as these images.
    for side in (16, 40, 64):
        small = [resize(image, (side, side), Image.Resampling.BICUBIC) for image in portraits[::4]]
        assert all(real.look(image)[0].reason is not None for image in small)
