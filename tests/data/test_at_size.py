"""What is done for tables of millions of images gives what the plain way gives."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facevalue.data import manifest as manifest_module
from facevalue.data import scan as scan_module
from facevalue.data.audit import audit
from facevalue.data.column_values import repeated, several_within
from facevalue.data.file_facts import facts_of
from facevalue.data.groups import look_alikes, with_groups
from facevalue.data.manifest import Manifest, fingerprint, read_table
from facevalue.data.scan import scan

Fill = Callable[..., Path]


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_a_fingerprint_is_the_hash_of_sorted_lines(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(12)]
    rows = pd.DataFrame(
        {
            "sha256": rng.choice(digests, 40),
            "label": rng.choice(["a", "a b", "B", "é"], 40),
            "split": rng.choice(["train", "test", ""], 40),
        },
        index=rng.permutation(40),
    )
    lines = sorted(" ".join(row) for row in rows.to_numpy())
    monkeypatch.setattr(manifest_module, "_BLOCK", block)
    assert fingerprint(rows) == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert fingerprint(rows.iloc[:0]) == hashlib.sha256(b"").hexdigest()


def test_values_of_columns_against_pandas() -> None:
    rng = np.random.default_rng(1)
    for n, kinds in ((0, 1), (1, 1), (50, 3), (50, 40), (50, 1000)):
        column = pd.Series([f"v{i}" for i in rng.integers(0, kinds, n)], dtype=str)
        other = pd.Series([f"o{i}" for i in rng.integers(0, 2, n)], dtype=str)
        assert repeated(column).tolist() == column.duplicated(keep=False).tolist()
        assert several_within(column, other).tolist() == (other.groupby(column).transform("nunique") > 1).tolist()


def test_a_manifest_in_parts_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(10)], "label": ["a", "b"] * 5, "width": range(10)})
    monkeypatch.setattr(manifest_module, "_BLOCK", 3)
    Manifest(table, "made up").save(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "m.parquet"), table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "m.parquet"), pd.read_parquet(tmp_path / "m.parquet"))


def test_a_cache_in_parts_follows_files_that_come_and_go(
    tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scan_module, "_CHUNK", 3)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10**10)
    folder = fill(tmp_path / "images", "a", "b", n=7)
    (folder / "a/p03.png").write_text("no image")
    reads: list[str] = []

    def counted(path: Path) -> dict[str, object]:
        reads.append(path.relative_to(folder).as_posix())
        return facts_of(path)

    monkeypatch.setattr(scan_module, "facts_of", counted)
    scan(folder)
    (folder / "a/p00b.png").write_bytes((folder / "b/p01.png").read_bytes())
    (folder / "b/p05.png").unlink()
    (folder / "b/p02.png").rename(folder / "b/p06b.png")
    os.utime(folder / "b/p00.png", ns=(1, 1))
    for expected in (["a/p00b.png", "a/p03.png", "b/p00.png", "b/p06b.png"], ["a/p03.png"]):
        reads.clear()
        found = scan(folder)
        assert sorted(reads) == expected
        pd.testing.assert_frame_equal(found.table, scan(folder, fresh=True).table)


def test_near_duplicates_are_searched_once_for_groups_and_copies(fill: Fill, tmp_path: Path) -> None:
    folder = fill(tmp_path / "images", "a", "b", n=6)
    for name in ("a/again.png", "b/also.png"):
        (folder / name).write_bytes((folder / "a/p00.png").read_bytes())
    (folder / "a/bad.png").write_text("no image")
    scanned = scan(folder)
    alike = look_alikes(scanned)
    plain, quick = with_groups(scanned), with_groups(scanned, found=alike)
    pd.testing.assert_frame_equal(quick.table, plain.table)
    assert plain.table["group"].nunique() == len(plain.table) - 2
    first, second = audit(plain).to_dict(), audit(quick, found=alike).to_dict()
    assert first == second
    assert first["contradictions"]
