"""The declared pipelines against Pillow, arithmetic and fixed digests."""

import io
import re

import msgspec
import numpy as np
import pytest
from PIL import Image

from facevalue.images.remaking import EVERYDAY, PIPELINES, Framed, Jpeg, Pipeline, Resized, WebP, remade

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).resize((180, 120))


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=str)
def test_every_pipeline_gives_upright_rgb_twice_the_same_and_leaves_the_image(pipeline: Pipeline) -> None:
    before = IMAGE.tobytes()
    first, second = remade(IMAGE, pipeline), remade(IMAGE, pipeline)
    assert (first.mode, first.tobytes()) == ("RGB", second.tobytes())
    assert first.tobytes() != before
    assert IMAGE.tobytes() == before


def test_names_are_unique_and_hold_the_parameters() -> None:
    assert len({pipeline.steps for pipeline in PIPELINES.values()}) == len(PIPELINES)
    for name, pipeline in PIPELINES.items():
        assert name == pipeline.name
        numbers = [
            n for step in pipeline.steps for n in re.findall(r"[\d.]+", str(step)) if not isinstance(step, Framed)
        ]
        assert all(number in name.replace("420", "4:2:0").replace("444", "4:4:4") for number in numbers)


def test_the_set_covers_what_is_declared() -> None:
    steps = [step for pipeline in PIPELINES.values() for step in pipeline.steps]
    assert {s.filter for s in steps if isinstance(s, Resized)} == {"nearest", "box", "bilinear", "bicubic", "lanczos"}
    factors = [s.factor for p in PIPELINES.values() if p.kind == "resize" for s in p.steps if isinstance(s, Resized)]
    assert (min(factors), max(factors)) == (0.25, 1.5)
    qualities = {(s.quality, s.chroma) for s in steps if isinstance(s, Jpeg)}
    assert {(q, c) for q in (40, 95) for c in ("4:2:0", "4:4:4")} <= qualities
    assert any(isinstance(s, WebP) for s in steps)
    assert any(isinstance(s, Framed) for s in steps)
    assert set(EVERYDAY) < set(PIPELINES.values())


def test_pipelines_survive_json() -> None:
    text = msgspec.json.encode(tuple(PIPELINES.values()))
    assert msgspec.json.decode(text, type=tuple[Pipeline, ...]) == tuple(PIPELINES.values())


def test_steps_are_applied_in_their_order() -> None:
    found = remade(IMAGE, PIPELINES["messenger-box-x0.5-jpeg-q70-420"])
    stream = io.BytesIO()
    IMAGE.resize((90, 60), Image.Resampling.BOX).save(stream, "JPEG", quality=70, subsampling="4:2:0")
    np.testing.assert_array_equal(np.asarray(found), np.asarray(Image.open(stream)))


def test_chroma_at_half_resolution_loses_colour_and_not_brightness() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 90, 90), (60, 130, 130)  # nearly the same brightness
    image = Image.fromarray(stripes)
    full, half = (np.asarray(Jpeg(95, chroma).apply(image)).astype(int) for chroma in ("4:4:4", "4:2:0"))
    assert np.abs(full - stripes).mean() < 10
    assert np.abs(half - stripes).mean() > 30


def test_a_screenshot_has_a_light_border_around_the_smaller_image() -> None:
    found = np.asarray(remade(IMAGE, PIPELINES["screenshot-bilinear-x0.75-png"]))
    edge = round(0.04 * 90)
    assert found.shape == (90 + 2 * edge, 135 + 2 * edge, 3)
    assert (found[:edge] == 236).all()
    assert (found[:, -edge:] == 236).all()
    inside = IMAGE.resize((135, 90), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found[edge:-edge, edge:-edge], np.asarray(inside))


@pytest.mark.parametrize("size", [(1, 1), (3, 70_000), (20_000, 2)])
@pytest.mark.parametrize("step", [Resized("lanczos", 0.25), WebP(80)], ids=str)
def test_extreme_shapes_are_remade_too(size: tuple[int, int], step: Resized | WebP) -> None:
    made = step.apply(Image.new("RGB", size, "red"))
    assert min(made.size) >= 1
    assert max(made.size) <= 16_383 or isinstance(step, Resized)
    assert np.abs(np.asarray(made).astype(int) - [255, 0, 0]).max() <= 4
