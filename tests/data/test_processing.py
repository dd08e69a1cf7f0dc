"""Traces of processing: measured against known histories, and audited on drawn sets with a planted one."""

from collections.abc import Callable
from functools import lru_cache, reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facevalue.data.audit.processing import Processing, _sample, find_processing, gap
from facevalue.data.dataset import ImageDataset
from facevalue.data.groups import with_groups
from facevalue.data.processing_traces import COLUMNS, GHOSTS, TRACES, ghosts, grid, measured, noise_spectrum, resampling
from facevalue.data.scan import scan
from facevalue.images.remaking import Jpeg, Resized, Step

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@lru_cache(maxsize=100)
def scene(seed: int, side: int = 400) -> Image.Image:
    """Strong in the low frequencies, weaker in the high ones, through a lens, with a camera's noise, as photographs.

    How strong and how noisy differs from scene to scene.
    """
    rng = np.random.default_rng(seed)
    steepness, noise = rng.uniform(0.8, 1.8), rng.uniform(0.5, 2)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    lens = np.exp(-((frequency / 0.25) ** 2)) / (frequency + 0.01) ** steepness
    grey = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * lens, s=(side, side))
    grey = 40 + 170 * (grey - grey.min()) / np.ptp(grey) + rng.normal(0, noise, (side, side))
    return Image.fromarray(np.uint8(grey.clip(0, 255))).convert("RGB")


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"))


@pytest.mark.parametrize(("factor", "frequency"), [(1.5, 1 / 3), (1.25, 0.2), (2.25, 0.444), (1.7, 0.412)])
@pytest.mark.parametrize("name", FILTERS)
def test_an_enlarged_image_has_its_period(factor: float, frequency: float, name: str) -> None:
    part = round(256 / factor)
    large = scene(1).crop((0, 0, part, part)).resize((256, 256), FILTERS[name])
    x, strength_x, y, strength_y = resampling(array(large).astype(float))
    if factor != 1.25:  # 0.2 and its harmonic 0.4 are both periods of it
        assert (x, y) == pytest.approx((frequency, frequency), abs=0.01)
    else:
        assert min(abs(x - 0.2), abs(x - 0.4)) < 0.01
    assert min(strength_x, strength_y) > np.log(6)


def test_an_image_that_was_not_resampled_has_no_clear_period() -> None:
    strengths = [resampling(array(scene(seed, 256)).astype(float))[1] for seed in range(8)]
    assert max(strengths) < np.log(6)


@pytest.mark.parametrize("quality", [60, 75, 85])
def test_an_earlier_compression_leaves_a_ghost(quality: int) -> None:
    image = scene(2, 256)
    curve = ghosts(array(Jpeg(quality, "4:4:4").apply(image)))
    assert GHOSTS[1 + int(np.argmin(curve))] == quality
    assert min(curve) < -0.5
    assert min(ghosts(array(image))) > -0.3


@pytest.mark.parametrize("cut", [(0, 0), (3, 5), (7, 1)])
def test_the_grid_is_found_where_the_image_was_cut(cut: tuple[int, int]) -> None:
    saved = Jpeg(50, "4:4:4").apply(scene(3, 264))
    x, strength_x, y, strength_y = grid(array(saved)[cut[1] : cut[1] + 256, cut[0] : cut[0] + 256].astype(float))
    assert (x, y) == ((8 - cut[0]) % 8, (8 - cut[1]) % 8)
    assert min(strength_x, strength_y) > 0.1


def test_noise_correlates_as_the_filter_makes_it() -> None:
    columns = TRACES["noise spectrum"]
    at = columns.index("correlation 0,1")
    white = np.random.default_rng(0).normal(128, 20, (256, 256))
    assert noise_spectrum(white)[at] == pytest.approx(0, abs=0.03)
    mean_of_two = (white[:, 1:] + white[:, :-1])[:, :248] / 2
    assert noise_spectrum(mean_of_two)[at] == pytest.approx(0.5, abs=0.06)
    assert noise_spectrum(white)[-1] == pytest.approx(np.log(20), abs=0.1)


def test_numbers_are_finite_for_any_image() -> None:
    for image in (Image.new("RGB", (64, 64)), Image.new("RGB", (300, 65), "white"), scene(0, 70)):
        for numbers in measured(image, 64):
            assert numbers.shape == (len(COLUMNS),)
            assert np.isfinite(numbers).all()


def test_the_control_keeps_the_content_and_loses_the_trace() -> None:
    at = COLUMNS.index("JPEG grid: strength x")
    image = Jpeg(60).apply(scene(4, 256))
    trace, control = measured(image, 256)
    assert trace[at] > 5 * abs(control[at])


def made(histories: dict[str, tuple[Step, ...]], n: int = 24) -> ImageDataset:
    """Images of one group (``label/group``) per history, of scenes that are all different."""
    images = [
        reduce(lambda image, step: step.apply(image), steps, scene(100 * i + j))
        for i, steps in enumerate(histories.values())
        for j in range(n)
    ]
    names = [name for name in histories for _ in range(n)]
    groups = [name if "/" in name else str(i) for i, name in enumerate(names)]
    return ImageDataset.from_arrays(images, [name.partition("/")[0] for name in names], groups=groups)


def found_in(data: ImageDataset | Path) -> Processing:
    return find_processing(with_groups(scan(data), None, None))


LANCZOS, NEAREST = Resized("lanczos", 0.32), Resized("nearest", 0.32)


@pytest.mark.parametrize(
    ("first", "second"),
    [((LANCZOS,), (NEAREST,)), ((LANCZOS, Jpeg(90)), (LANCZOS, Jpeg(60), Jpeg(90)))],
    ids=["another filter", "compressed before"],
)
def test_a_planted_history_is_found(first: tuple[Step, ...], second: tuple[Step, ...]) -> None:
    found = found_in(made({"a": first, "b": second}))
    [warning] = found.warnings
    assert (warning.code, warning.severity) == ("processing-tells-classes", "warning")
    assert warning.values["n"] == found.n == 48
    assert found.by_class is not None
    assert found.by_class.auc > 0.95
    assert gap(found.by_class.auc, found.by_class.control_auc) > 1
    assert set(found.by_class.traces[0].usual) == {"a", "b"}
    assert not list(found.notes)


@pytest.mark.parametrize("both", [(LANCZOS,), (NEAREST, Jpeg(80))], ids=["lanczos", "nearest and JPEG"])
def test_the_same_history_in_both_classes_is_no_finding(both: tuple[Step, ...]) -> None:
    found = found_in(made({"a": both, "b": both}))
    assert found.by_class is not None
    assert not found.by_class.found
    assert not list(found.warnings)


def test_content_alone_is_a_note_and_no_warning() -> None:
    """One class has less contrast, at every scale: what is shown differs, not how it was made."""
    sharp = [np.asarray(LANCZOS.apply(scene(i))) for i in range(48)]
    images = [x if i % 2 else np.uint8(128 + 0.3 * (x - x.mean())) for i, x in enumerate(sharp)]
    found = found_in(ImageDataset.from_arrays(images, [i % 2 for i in range(48)], classes=["a", "b"]))
    assert not list(found.warnings)
    assert [note.code for note in found.notes] == ["processing-may-tell-classes"]


def test_sources_of_one_class_each() -> None:
    histories = {"a/one": (LANCZOS, Jpeg(90)), "b/two": (LANCZOS, Jpeg(60), Jpeg(90))}
    found = found_in(made(histories))
    assert found.sources == {name: (name[0],) for name in sorted(histories)}
    assert not found.whole_groups
    assert {w.code for w in found.warnings} == {"processing-tells-classes", "processing-tells-sources"}


def test_what_cannot_be_checked_is_said(tmp_path: Path, fill: Callable[..., Path]) -> None:
    found = found_in(fill(tmp_path / "few", "a", "b", n=5))
    assert (found.n, [note.code for note in found.notes]) == (0, ["processing-not-checked"])
    small = made({"a": (Resized("box", 0.1),), "b": (Resized("box", 0.1),)}, n=20)
    assert [note.code for note in found_in(small).notes] == ["processing-not-checked"]


def test_the_sample_is_even_over_classes_and_their_groups() -> None:
    table = pd.DataFrame(
        {
            "label": ["a"] * 300 + ["b"] * 50,
            "group": [f"a{i // 100}" for i in range(300)] + ["b"] * 50,
        }
    )
    drawn = _sample(table, 60)
    assert drawn["label"].value_counts().to_dict() == {"a": 30, "b": 30}
    assert drawn["group"].value_counts().to_dict() == {"a0": 10, "a1": 10, "a2": 10, "b": 30}
    assert drawn.equals(_sample(table, 60))
