"""Faces of labelled images: the manifest's columns, the crops, and images without a face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facevalue.data import face_boxes
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import BOX, DETAIL, GATE, LOOKED, found_in_training, key_of, with_faces, without_face
from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.images.preprocessing import Preprocessing

from ..faces.drawn import HEIGHT, WIDTH, drawn, facts, gate

OF_FACES = Preprocessing(size=32, face_margin=0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes in two splits; of each one image has no face, and of ``real`` one has two."""
    for split in ("train", "test"):
        for label, offset in (("ai", 0), ("real", 50)):
            place = tmp_path / "images" / split / label
            place.mkdir(parents=True)
            for i in range(4):
                seed = offset + i + (100 if split == "test" else 0)
                dots = [[(8 * i + 60, 60)], []][i == 3] + [(130, 60)] * (label == "real" and i == 0)
                drawn(*dots, seed=seed).save(place / f"{i}.png")
    return tmp_path / "images"


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return scan(folder)


def test_every_image_gets_its_face(manifest: Manifest) -> None:
    rows = with_faces(manifest, gate()).readable.set_index("key")
    assert rows[GATE].value_counts().to_dict() == {"pass": 10, "no_face": 4, "gate_unsure": 2}
    assert rows.loc["train/ai/1.png", list(BOX)].tolist() == [68 - WIDTH // 2, 60 - HEIGHT // 2, WIDTH, HEIGHT]
    assert rows.loc["train/ai/3.png", list(BOX)].tolist() == [0, 0, 0, 0]
    assert rows.loc["test/real/0.png", DETAIL].startswith("several")
    assert set(rows[LOOKED]) == {key_of(facts())}
    assert with_faces(manifest, None) is manifest


def test_nothing_is_looked_at_twice_with_one_gate(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_faces(manifest, gate(), "train")
    rows = first.readable
    assert (rows[LOOKED] != "").sum() == 8
    looked = []
    original = face_boxes.upright
    monkeypatch.setattr(face_boxes, "upright", lambda image: looked.append(image) or original(image))
    both = with_faces(first, gate())
    assert len(looked) == 8  # those of the other split
    pd.testing.assert_frame_equal(both.table, with_faces(both, gate()).table)
    assert len(looked) == 8
    with_faces(both, gate(smallest=5))  # another gate may see other faces
    assert len(looked) == 24


def test_a_table_that_is_joined_with_one_without_faces_is_completed(manifest: Manifest) -> None:
    old = with_faces(manifest, gate())
    new = scan(Path(manifest.source))
    joined = replace(old, table=pd.concat([old.table, new.table], ignore_index=True))
    pd.testing.assert_frame_equal(
        with_faces(joined, gate()).table.iloc[len(old.table) :].reset_index(drop=True), old.table
    )


def test_a_dataset_shows_crops_and_leaves_out_images_without_a_face(manifest: Manifest) -> None:
    looked = with_faces(manifest, gate())
    dataset = dataset_of(looked, OF_FACES, ("ai", "real"), "train")
    assert len(dataset) == 6
    assert [Path(one["path"]).name for one in dataset.without_face] == ["3.png", "3.png"]
    whole = dataset.upright(1)
    x, y, width, height = dataset.rows[list(BOX)].iloc[1]
    crop = whole.crop(OF_FACES.face_square((x, y, width, height), whole.size))
    expected = OF_FACES.whole.apply(crop)
    np.testing.assert_array_equal(dataset.pixels()[1], expected)
    np.testing.assert_array_equal(OF_FACES.whole.of(list(dataset.shown())[1]), expected)  # type: ignore[arg-type]
    np.testing.assert_array_equal(dataset.held().pixels()[1], expected)
    np.testing.assert_array_equal(dataset.held(room=0).pixels()[1], expected)
    # On disk, crops by another gate are other network inputs.
    other = dataset_of(with_faces(manifest, gate(smallest=5)), OF_FACES, ("ai", "real"), "train")
    assert other.held(room=0)._held.path != dataset.held(room=0)._held.path  # type: ignore[union-attr]


def test_the_fingerprint_is_that_of_all_images(manifest: Manifest) -> None:
    looked = with_faces(manifest, gate())
    of_faces = dataset_of(looked, OF_FACES, ("ai", "real"), "train")
    of_whole_images = dataset_of(manifest, OF_FACES.whole, ("ai", "real"), "train")
    assert of_faces.fingerprint == of_whole_images.fingerprint == manifest.fingerprint("train")
    assert of_faces.take([0]).without_face == ()
    joined = of_faces.joined(dataset_of(looked, OF_FACES, ("ai", "real"), "test"), name="both")
    assert len(joined.without_face) == 4
    assert len(joined) == 12


def test_whole_images_never_take_the_place_of_faces(manifest: Manifest) -> None:
    with pytest.raises(ValueError, match="no faces were looked for"):
        dataset_of(manifest, OF_FACES, ("ai", "real"))
    with pytest.raises(ValueError, match="no faces were looked for"):
        dataset_of(with_faces(manifest, gate(), "train"), OF_FACES, ("ai", "real"), "test")
    dataset = ImageDataset.from_folder(manifest.source)
    with pytest.raises(UsageError, match="the network takes faces"):
        dataset.with_preprocessing(OF_FACES)


def test_what_is_left_out_of_training_is_said_by_class(manifest: Manifest) -> None:
    looked = with_faces(manifest, gate())
    (found,) = found_in_training(looked)
    assert found.code == "images-without-face"
    assert found.text.startswith("no face was found in 4 of 16 images (ai 2, real 2)")
    assert without_face(looked) == {"train": {"ai": 1, "real": 1}, "test": {"ai": 1, "real": 1}}
    assert without_face(manifest) == {}


def test_a_class_without_faces_is_refused(manifest: Manifest) -> None:
    looked = with_faces(manifest, gate())
    table = looked.table.assign(**{GATE: looked.table[GATE].mask(looked.table["label"] == "ai", "no_face")})
    with pytest.raises(DataError, match="no face was found in any of the 4 test images of ai; a face gate is for"):
        list(found_in_training(replace(looked, table=table)))
    none = replace(looked, table=looked.table.assign(**{GATE: "no_face"}))
    with pytest.raises(DataError, match="no face was found in any of the 8 images"):
        dataset_of(none, OF_FACES, ("ai", "real"), "train")


def test_images_in_memory_have_faces(notes: list[str]) -> None:
    images = [drawn((80, 60), seed=i) for i in range(3)] + [drawn(seed=9)]
    dataset = ImageDataset.from_arrays(images, ["a", "b", "a", "b"])
    looked = with_faces(scan(dataset), gate())
    shown = dataset_of(looked, OF_FACES, ("a", "b"))
    assert shown.pixels().shape == (3, 32, 32, 3)
    # A dataset whose faces are known can be scanned again, with files that could not be read.
    again = scan(replace(shown, unreadable=({"path": "x.png", "reason": "is damaged"},)))
    assert again.table[BOX[0]].tolist()[-1] == 0
    assert len(with_faces(again, gate()).readable) == 3
