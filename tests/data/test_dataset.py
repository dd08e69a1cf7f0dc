"""Network inputs with labels: in order, by name, and the same whatever the batch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.remaking import PIPELINES, remade
from facevalue.support.machine import in_order

Fill = Callable[..., Path]
GEOMETRY = Preprocessing(size=16)


@pytest.fixture
def some(tmp_path: Path, fill: Fill) -> ImageDataset:
    return dataset_of(scan(fill(tmp_path, "a", "b", n=7)), GEOMETRY, ("b", "a"))


def test_labels_go_by_name(some: ImageDataset) -> None:
    assert some.classes == ("b", "a")
    assert [some.classes[i] for i in some.labels] == [path.parent.name for path in some.images]


@pytest.mark.parametrize("size", [1, 3, 14, 50])
def test_batches_are_in_order(some: ImageDataset, size: int) -> None:
    batches = list(some.batches(size))
    pixels = np.concatenate([x for x, _ in batches])
    assert [len(x) for x, _ in batches] == [min(size, 14 - i) for i in range(0, 14, size)]
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), some.labels)
    np.testing.assert_array_equal(pixels, [GEOMETRY.read(p.read_bytes()) for p in some.images])
    np.testing.assert_array_equal(pixels, some.pixels())


def test_some_are_drawn_evenly_and_keep_their_order(some: ImageDataset) -> None:
    few = some.some(6, seed=1)
    assert sorted(np.bincount(few.labels)) == [3, 3]
    assert list(few.images) == sorted(few.images)
    assert few.images == some.some(6, seed=1).images
    assert few.images != some.some(6, seed=2).images
    assert some.some(100) is some


def test_remade_images_keep_labels_and_fingerprint_and_are_never_held_as_originals(some: ImageDataset) -> None:
    pipeline = PIPELINES["jpeg-q40-420"]
    held = some.held()
    made = held.remade(pipeline)
    expected = [GEOMETRY.apply(remade(some.upright(i), pipeline)) for i in range(len(some))]
    np.testing.assert_array_equal(made.pixels(), expected)
    np.testing.assert_array_equal(made.held().pixels(), expected)
    np.testing.assert_array_equal(made.held(room=0).pixels(), expected)
    assert (made.pixels() != held.pixels()).any()
    np.testing.assert_array_equal(made.labels, some.labels)
    assert made.fingerprint == some.fingerprint
    np.testing.assert_array_equal(made.remade(None).pixels(), held.pixels())
    with pytest.raises(UsageError, match="different ways"):
        some.joined(made, name="both")


def test_other_classes_name_both_lists(tmp_path: Path, fill: Fill) -> None:
    manifest = scan(fill(tmp_path, "cat", "bird", n=1))
    with pytest.raises(DataError, match=r"the model knows cat, dog; .* has bird, cat"):
        dataset_of(manifest, GEOMETRY, ("cat", "dog"))
    with pytest.raises(DataError, match="no readable image in test"):
        dataset_of(manifest, GEOMETRY, ("cat", "bird"), "test")


def test_a_file_removed_after_the_scan(some: ImageDataset) -> None:
    some.images[3].unlink()
    with pytest.raises(DataError, match="could be read before"):
        some.pixels()


def test_reading_ahead_keeps_the_order_and_little_in_memory() -> None:
    begun: list[int] = []

    def work(i: int) -> int:
        begun.append(i)
        return i * i

    results = in_order(work, iter(range(1000)), ahead=5)
    assert [next(results) for _ in range(10)] == [i * i for i in range(10)]
    assert len(begun) <= 10 + 5
    results.close()


def test_a_part_has_a_fingerprint_of_its_own(some: ImageDataset, tmp_path: Path) -> None:
    assert some.fingerprint == scan(tmp_path).fingerprint()
    half = some.some(6, seed=1)
    assert half.fingerprint not in (some.fingerprint, some.some(6, seed=2).fingerprint)
    assert half.fingerprint == some.take(range(14)).some(6, seed=1).fingerprint
