"""Near-duplicates: the hash on real images that were altered, the search against all pairs."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facevalue.data.hash_buckets import Plan, plan, tables
from facevalue.data.hashes import distances, phash, unpack
from facevalue.data.near_duplicates import clusters


def hash_of(image: Image.Image) -> NDArray[np.uint64]:
    return unpack([phash(image).tobytes().hex()])[0]


def saved_at(image: Image.Image, quality: int, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def by_all_pairs(hashes: NDArray[np.uint64], near: int) -> NDArray[np.int64]:
    """Labels of connected components, with bits counted one by one."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1).astype(np.int16)
    apart = bits.sum(1)[:, None] + bits.sum(1)[None] - 2 * (bits.astype(np.float32) @ bits.T.astype(np.float32))
    labels: NDArray[np.int64] = connected_components(coo_matrix(apart <= near))[1]
    return labels


def same_partition(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    pairs = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    return len(set(a.tolist())) == len(set(b.tolist())) == pairs


def planted(n: int, apart: list[int], seed: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """``n`` random hashes, then for each of ``apart`` a copy of one of the first with so many bits changed."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, 4), dtype=np.uint64)
    bits = np.unpackbits(hashes[: len(apart)].copy().view(np.uint8), axis=1)
    for row, flips in zip(bits, apart, strict=True):
        row[rng.choice(256, flips, replace=False)] ^= 1
    return np.concatenate([hashes, np.packbits(bits, axis=1).view(np.uint64)]), np.array(apart)


@pytest.mark.parametrize(
    ("quality", "factor", "least"),
    [(50, 1, 0.8), (75, 1, 0.9), (95, 1, 0.95), (95, 0.5, 0.8), (95, 2, 0.95), (50, 2, 0.9)],
)
def test_copies_of_small_real_images_are_recognised(lfw: Path, quality: int, factor: float, least: float) -> None:
    # 25 x 25 pixels: JPEG at quality 50 is hard on so few.
    images = [Image.open(path).convert("L") for path in sorted(lfw.rglob("*.png"))]
    apart = [distances(hash_of(image), hash_of(saved_at(image, quality, factor))) for image in images]
    assert np.mean(np.array(apart) <= 32) >= least


def test_different_real_images_are_not_near_duplicates(lfw: Path) -> None:
    hashes = np.stack([hash_of(Image.open(path)) for path in sorted(lfw.rglob("*.png"))])
    assert len(set(clusters(hashes).labels.tolist())) == 200


@pytest.mark.data
@pytest.mark.parametrize("name", ["human-or-object", "real-or-ai-face", "horse-or-human-grey100"])
def test_copies_of_real_images_are_recognised(shared_data: Path, name: str) -> None:
    paths = sorted(p for p in (shared_data / name).rglob("*") if p.suffix in (".jpg", ".png"))[::40]
    images = [Image.open(path).convert("RGB") for path in paths]
    apart = [distances(hash_of(i), hash_of(saved_at(i, 50, f))) for i in images for f in (0.5, 1, 1.7)]
    assert max(apart) <= 20


def test_flat_images_of_any_colour_hash_alike() -> None:
    flat = [Image.new("RGB", (50, 40), color) for color in ("red", "white", "gray")]
    assert len({phash(image).tobytes() for image in flat}) == 1


def radius(hashes: NDArray[np.uint64]) -> int:
    """How far the furthest is from the member that all are nearest to."""
    return int(min(distances(one, hashes).max() for one in hashes))


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 60), st.sampled_from([4096, 0]))
def test_clusters_are_stars_within_the_chains_of_all_pairs(seed: int, kinds: int, near: int, exact: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2, (kinds, 256))
    bits = base[rng.integers(0, kinds, 80)] ^ (rng.random((80, 256)) < rng.random((80, 1)) * 0.2)
    hashes = np.packbits(bits.astype(np.uint8), axis=1).view(np.uint64)
    found = clusters(hashes, near, exact)
    assert same_partition(found.chains, by_all_pairs(hashes, near))
    for labels in (found.labels, found.chains):
        assert all(label <= i and labels[label] == label for i, label in enumerate(labels.tolist()))
    assert (found.chains[found.labels] == found.chains).all()  # no cluster reaches over two chains
    assert all(radius(hashes[members]) <= near for members in found.groups)
    for members in found.chained:
        if radius(hashes[members]) <= near and exact:
            assert len(set(found.labels[members].tolist())) == 1  # what needs no cut is not cut
        assert found.cut[members].all() == (len(set(found.labels[members].tolist())) > 1)


def test_equal_hashes_stay_in_one_cluster() -> None:
    hashes, _ = planted(50, [20] * 40)
    found = clusters(np.concatenate([hashes, hashes]), 32)
    assert (found.labels[:90] == found.labels[90:]).all()


@pytest.mark.parametrize("exact", [4096, 0])
def test_a_chain_is_cut_into_groups_with_a_common_member(exact: int) -> None:
    # Each differs from the next in 12 bits, and from the one after that in 24: no end is near the other.
    bits = np.zeros((60, 256), np.uint8)
    for i in range(1, 20):
        bits[i:, 12 * i : 12 * i + 12] = 1
    hashes = np.packbits(bits[:20], axis=1).view(np.uint64)
    found = clusters(hashes, 24, exact)
    assert set(found.chains.tolist()) == {0}
    assert found.cut.all()
    assert 4 <= len(set(found.labels.tolist())) <= 8
    assert all(radius(hashes[members]) <= 24 for members in found.groups)


def test_many_hashes_by_buckets_as_by_all_pairs() -> None:
    hashes, apart = planted(6000, [1, 8, 16, 24, 30, 31, 32, 33, 34, 48] * 20)
    found = clusters(hashes)
    joined = found.labels[: len(apart)] == found.labels[6000:]
    assert joined[apart <= 32].all()
    assert not joined[apart > 32].any()
    assert found.compared < 6200**2 / 50
    assert same_partition(found.labels, clusters(hashes, exact=10_000).labels)


def test_hashes_that_agree_in_many_bits_are_searched_with_more_bits_a_bucket() -> None:
    rng = np.random.default_rng(3)
    bits = (rng.random((6000, 256)) < np.where(np.arange(256) % 3, 0.1, 0.5)).astype(np.uint8)
    copies = bits[:200].copy()
    for row in copies:
        row[rng.choice(256, 32, replace=False)] ^= 1
    hashes = np.packbits(np.concatenate([bits, copies]), axis=1).view(np.uint64)
    assert plan(hashes, 32).bits > plan(planted(6000, [32] * 200)[0], 32).bits
    found = clusters(hashes)
    assert (found.chains[:200] == found.chains[6000:]).all()
    assert same_partition(found.chains, clusters(hashes, exact=10_000).chains)


def test_a_pair_shares_a_bucket_as_often_as_its_distance_says() -> None:
    n, bits, draws = 30, 10, 400
    hashes, _ = planted(n, [16] * n)
    together = 0
    for order, size in tables(hashes, Plan(bits, draws)):
        bucket = np.full(2 * n, -1)
        bucket[order] = np.repeat(np.arange(len(size)), size)
        together += int((bucket[:n] == bucket[n:])[bucket[:n] >= 0].sum())
    expected = math.comb(256 - 16, bits) / math.comb(256, bits)
    # Pairs of one table share its draw of bits, so only the draws are independent at worst.
    assert abs(together / (n * draws) - expected) < 4 * math.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize("crowd", [lambda n: np.zeros((n, 4), np.uint64), lambda n: one_bit_each(n)])
def test_many_similar_images_take_bounded_time(crowd: Callable[[int], NDArray[np.uint64]]) -> None:
    found = clusters(crowd(150_000))
    assert len(set(found.labels.tolist())) == 1
    assert found.compared < 70 * 150_000  # 65 of them to choose the centre of the cluster
    assert found.complete


def one_bit_each(n: int) -> NDArray[np.uint64]:
    """Different hashes, all within 4 bits of each other's neighbours."""
    return np.stack([np.arange(n) & 1023, np.zeros(n), np.arange(n) >> 10, np.zeros(n)], axis=1).astype(np.uint64)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_hashes(n: int) -> None:
    assert clusters(np.zeros((n, 4), np.uint64)).labels.tolist() == [0] * n


def test_wrong_radius() -> None:
    with pytest.raises(ValueError, match="from 0 to 255"):
        clusters(np.zeros((2, 4), np.uint64), 256)
