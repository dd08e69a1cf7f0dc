"""The kept search for near-duplicates is that of the same hashes, or none."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facevalue.data import clusters_cache
from facevalue.data.clusters_cache import clusters_of
from facevalue.data.near_duplicates import Clusters, clusters


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The radius of each search that is made; small sets are kept too."""
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    monkeypatch.setattr(clusters_cache, "EXACT", 10)
    made: list[int] = []

    def counted(hashes: NDArray[np.uint64], near: int) -> Clusters:
        made.append(near)
        return clusters(hashes, near)

    monkeypatch.setattr(clusters_cache, "clusters", counted)
    return made


def hashes(n: int = 60) -> NDArray[np.uint64]:
    """Some of them near-duplicates, in chains."""
    base = np.random.default_rng(0).integers(0, 2**64, (n // 3, 4), dtype=np.uint64)
    return np.concatenate([base, base ^ np.uint64(1), base ^ np.uint64(2**20 - 1)])


def same(one: Clusters, other: Clusters) -> bool:
    return (
        one.labels.tolist() == other.labels.tolist()
        and one.chains.tolist() == other.chains.tolist()
        and (one.compared, one.complete) == (other.compared, other.complete)
    )


def test_the_same_hashes_are_searched_once(searches: list[int]) -> None:
    for near in (8, 8, 32, 32):
        found = clusters_of(hashes(), near, "images")
        assert same(found, clusters(hashes(), near))
        assert found.labels.dtype == np.int64
    assert searches == [8, 32]


def test_other_hashes_and_other_sets_are_searched(searches: list[int]) -> None:
    changed = hashes()
    changed[7, 2] ^= np.uint64(1)
    for some, source in ((hashes(), "a"), (changed, "a"), (hashes()[::-1], "a"), (hashes(), "b")):
        assert same(clusters_of(some, 32, source), clusters(some, 32))
    assert len(searches) == 4


def test_a_damaged_file_is_ignored(searches: list[int], tmp_path: Path) -> None:
    clusters_of(hashes(), 32, "images")
    (path,) = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    for text in (b"", whole[: len(whole) // 2], bytes(len(whole))):
        path.write_bytes(text)
        assert same(clusters_of(hashes(), 32, "images"), clusters(hashes(), 32))
    assert len(searches) == 4


def test_a_cache_that_cannot_be_written_is_ignored(searches: list[int], tmp_path: Path) -> None:
    (tmp_path / "scans").write_text("in the way")
    for _ in range(2):
        assert same(clusters_of(hashes(), 32, "images"), clusters(hashes(), 32))
    assert len(searches) == 2
