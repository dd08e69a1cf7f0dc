"""Images stay in their splits when others are added, with and without an earlier manifest."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facevalue.data.groups import with_groups
from facevalue.data.manifest import COLUMNS, SPLITS, Manifest
from facevalue.data.splits import with_splits
from facevalue.errors import UsageError

Row = tuple[str, str, str]  # label, group, key


def manifest(rows: list[Row], looks: dict[str, bytes] | None = None) -> Manifest:
    """A manifest from memory; images look alike only where ``looks`` gives their keys the same hash."""
    filled = []
    for label, group, key in rows:
        phash = (looks or {}).get(key, hashlib.sha256(key.encode()).digest())
        row = dict.fromkeys(COLUMNS, "") | {"label": label, "group": group, "key": key, "path": key}
        filled.append(row | {"sha256": hashlib.sha256(key.encode()).hexdigest(), "phash": phash.hex()})
    return Manifest(pd.DataFrame(filled), "memory")


def people(label: str, numbers: list[int]) -> list[Row]:
    return [(label, f"{label}-{n}", f"{label}/{label}-{n}/{i}.png") for n in numbers for i in range(1 + n % 3)]


def falls(group: str, seed: int = 0) -> str:
    """The split of a group, computed independently: 64 bits of SHA-256 as a fraction, with the default shares."""
    at = int(hashlib.sha256(f"{seed}\n{group}".encode()).hexdigest()[:16], 16) / 16**16
    return SPLITS[sum(at >= end for end in (0.6, 0.7, 0.8))]


def by_key(done: Manifest) -> dict[str, str]:
    return dict(zip(done.table["key"], done.table["split"], strict=True))


def test_the_assignment_never_changes() -> None:
    """The same on every machine and in every release: these lines were computed once and must not change."""
    rows = [(label, f"{label}{i}", f"{label}/{i}.png") for label in ("ai", "real") for i in range(24)]
    short = dict(zip(SPLITS, ".vct", strict=True))
    got = {seed: "".join(short[s] for s in with_splits(manifest(rows), seed=seed).table["split"]) for seed in (0, 7)}
    assert got == EXPECTED


numbers = st.lists(st.integers(0, 400), min_size=5, max_size=60, unique=True)


@given(numbers, numbers, st.lists(st.integers(401, 900), max_size=60, unique=True), st.integers(0, 3))
def test_later_images_do_not_move_earlier_ones(
    horses: list[int], humans: list[int], more: list[int], seed: int
) -> None:
    old = people("horse", horses) + people("human", humans)
    new = old + people("horse", more) + people("human", more[::2]) + people("dog", list(range(5)))
    before, after = with_splits(manifest(old), seed=seed), with_splits(manifest(new), seed=seed)
    was, now = by_key(before), by_key(after)
    natural = {key: falls(group, seed) for _, group, key in new}
    lent = {key for key in was if was[key] != natural[key]}
    trained = Counter(label for label, group in {(r[0], r[1]) for r in old} if falls(group, seed) == "train")
    for label, _, key in old:
        # A class with few groups in train may take groups from other splits; every other class takes them from train.
        if key not in lent and trained[label] > 3:
            assert now[key] == was[key]
    # Where every split has groups by their hash, no group moves.
    full = {
        label for label in ("horse", "human") if len({falls(r[1], seed) for r in old if r[0] == label}) == len(SPLITS)
    }
    assert all(now[key] == was[key] == natural[key] for label, _, key in old if label in full)


@given(numbers, numbers, st.lists(st.integers(401, 900), max_size=60, unique=True), st.integers(0, 3))
def test_with_the_earlier_manifest_no_image_moves(
    horses: list[int], humans: list[int], more: list[int], seed: int
) -> None:
    old = people("horse", horses) + people("human", humans)
    before = with_splits(manifest(old), seed=seed)
    known = dict(zip(before.table["sha256"], before.table["split"], strict=True))
    # New images in old groups and in new groups, and another seed.
    new = [*old, *((label, group, f"{key}.more.png") for label, group, key in old[::2]), *people("human", more)]
    after = by_key(with_splits(manifest(new), seed=seed + 1, known=known))
    assert {key: after[key] for key in by_key(before)} == by_key(before)
    assert all(after[f"{key}.more.png"] == after[key] for _, _, key in old[::2])


def copy_consistency(key: str, flips: int = 3) -> bytes:
    """The perceptual hash of ``key`` with some bits flipped."""
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(key.encode()).digest(), np.uint8)).copy()
    bits[:flips] ^= 1
    return np.packbits(bits).tobytes()


def test_later_near_duplicates_join_their_group_and_move_no_image() -> None:
    old = people("horse", list(range(60))) + [("object", "", f"object/{i:03}.png") for i in range(100)]
    copies = {
        # Of one of a person's images; of one that stands alone, by a name that sorts before it and one after.
        "horse/horse-5/copy.png": "horse/horse-5/0.png",
        "object/000 copy.png": "object/000.png",
        "object/099 (1).png": "object/099.png",
        "object/zzz.png": "horse/horse-8/1.png",
    }
    looks = {copy: copy_consistency(of) for copy, of in copies.items()}
    new = [*old, *(("horse" if c.startswith("horse") else "object", "", c) for c in copies)]
    was = by_key(with_splits(with_groups(manifest(old), "parent")))
    now = by_key(with_splits(with_groups(manifest(new, looks), "parent")))
    assert {key: now[key] for key in was} == was
    assert all(now[copy] == was[of] for copy, of in copies.items())


def test_a_new_image_between_two_splits_is_in_none() -> None:
    old = [(label, "", f"{label}/{i}.png") for label in ("a", "b") for i in range(60)]
    before = with_splits(with_groups(manifest(old)))
    splits = by_key(before)
    first = next(k for k in splits if splits[k] == "train")
    second = next(k for k in splits if splits[k] == "test")
    known = dict(zip(before.table["sha256"], before.table["split"], strict=True))
    new = manifest([*old, ("a", "", "a/between.png")])
    joined = new.table["key"].where(~new.table["key"].isin([first, second, "a/between.png"]), "joined")
    after = with_splits(new.changed(group=joined), known=known)
    now = by_key(after)
    assert now["a/between.png"] == ""
    assert {key: now[key] for key in splits} == splits
    [warning] = after.warnings
    assert (warning.code, warning.values) == ("new-images-between-splits", {"n": 1, "example": "a/between.png"})


def test_a_group_of_two_classes_moves_only_if_neither_class_lacks_it() -> None:
    rows = [(label, f"house{i}", f"{label}/{i}.png") for label in ("a", "b") for i in range(6)]
    done = with_splits(manifest(rows))
    assert done.table.groupby("group")["split"].nunique().max() == 1
    assert all((done.rows(s)["label"] == label).any() for s in SPLITS for label in ("a", "b"))


@pytest.mark.parametrize("shares", [{"validation": 0.5, "calibration": 0.3, "test": 0.2}, {"test": 0.0}])
def test_wrong_shares(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Expected `shares` between 0 and 1 with a sum below 1"):
        with_splits(manifest(people("a", list(range(9))) + people("b", list(range(9)))), shares)


def test_official_splits_and_an_earlier_manifest_do_not_mix() -> None:
    official = manifest(people("a", list(range(40))) + people("b", list(range(40))))
    official = official.changed(split=[SPLITS[i % 4] for i in range(len(official.table))])
    with pytest.raises(UsageError, match="already has splits, which stay"):
        with_splits(official, known={"x": "train"})


EXPECTED = {
    0: "t.......vvt.t..c.....tv..c.........t.ttt.....v..",
    7: ".t...t..c......vv........v.ctc..t...t.tc.tt.v.c.",
}
