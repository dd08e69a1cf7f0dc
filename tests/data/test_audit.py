"""The audit finds what was planted, and nothing where nothing was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image, ImageFilter

from facevalue.cli import app
from facevalue.cli.common.shell import run
from facevalue.data.audit import Audit, audit
from facevalue.data.audit.labels import find_suspects, held_out_probabilities
from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.file_facts import EMPTY_FACTS
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.errors import DataError

Fill = Callable[..., Path]


def audited(folder: Path, groups: str | None = None) -> Audit:
    return audit(with_groups(scan(folder), groups))


def altered(source: Path, target: Path, quality: int = 60, factor: float = 0.7) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        size = (round(image.width * factor), round(image.height * factor))
        image.convert("RGB").resize(size).save(target, quality=quality)


def test_a_clean_folder_has_no_findings(tmp_path: Path, fill: Fill) -> None:
    found = audited(fill(tmp_path, "a", "b", n=24))
    assert found.processing.by_class is not None
    assert found.copies.duplicates == found.copies.near == found.copies.contradictions == ()
    assert found.oddities == found.warnings == found.notes == ()


def test_copies_and_contradictions(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=12)
    (tmp_path / "a/same.png").write_bytes((tmp_path / "a/p00.png").read_bytes())
    (tmp_path / "b/other.png").write_bytes((tmp_path / "a/p01.png").read_bytes())
    altered(tmp_path / "a/p02.png", tmp_path / "a/again.jpg")
    altered(tmp_path / "b/p03.png", tmp_path / "a/lie.jpg")
    found = audited(tmp_path)
    names = [{Path(path).name for path in group} for group in found.copies.duplicates]
    assert names == [{"p00.png", "same.png"}, {"other.png", "p01.png"}]
    assert [{Path(p).name for p in group} for group in found.copies.near] == [
        {"again.jpg", "p02.png"},
        {"lie.jpg", "p03.png"},
    ]
    torn = {frozenset(Path(p).name for p in c.paths): c for c in found.copies.contradictions}
    assert set(torn) == {frozenset({"other.png", "p01.png"}), frozenset({"lie.jpg", "p03.png"})}
    assert torn[frozenset({"other.png", "p01.png"})].identical
    assert not torn[frozenset({"lie.jpg", "p03.png"})].identical
    told = {w.code: w for w in found.warnings}
    assert told["contradictory-labels"].values == {"n": 4}
    assert "4 images that look the same have different labels" in told["contradictory-labels"].text


def test_leaks_across_given_splits(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", "test/b", n=6)
    altered(tmp_path / "train/a/p00.png", tmp_path / "test/a/leak.jpg")
    [leak] = audited(tmp_path).leaks
    assert leak.examples == ("train/a/p00.png", "test/a/leak.jpg")


@pytest.mark.parametrize(
    ("name", "kind"), [("black", "blank"), ("night", "dark"), ("snow", "bright"), ("tiny", "size")]
)
def test_oddities(tmp_path: Path, fill: Fill, name: str, kind: str) -> None:
    fill(tmp_path, "a", "b", n=12)
    with Image.open(tmp_path / "a/p05.png") as image:
        made = {
            "black": Image.new("RGB", image.size),
            "night": image.point(lambda v: v // 8),
            "snow": image.point(lambda v: 230 + v // 12),
            "tiny": image.resize((20, 20)),
        }[name]
    made.save(tmp_path / f"a/{name}.png")
    assert [(Path(o.path).stem, o.kind) for o in audited(tmp_path, "image").oddities] == [(name, kind)]


def test_a_blurred_image_among_sharp_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(20):
        # Strong in the low frequencies, weaker in the high ones, as photographs are.
        waves = np.fft.rfft2(rng.normal(size=(128, 128))) / np.hypot(
            np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128) + 0.01
        )
        grey = np.fft.irfft2(waves)
        image = Image.fromarray(np.uint8(255 * (grey - grey.min()) / np.ptp(grey)))
        image = image.filter(ImageFilter.GaussianBlur(5)) if i == 7 else image
        (tmp_path / "a").mkdir(exist_ok=True)
        image.save(tmp_path / f"a/{i}.png")
    assert [(Path(o.path).stem, o.kind) for o in audited(tmp_path).oddities] == [("7", "blurred")]


def test_one_class_and_loose_images(tmp_path: Path, fill: Fill) -> None:
    found = audited(fill(tmp_path, "a", n=5))
    assert found.shortcuts.auc is None
    assert found.to_dict()["classes"] == {"a": 5}
    loose = audit(with_groups(scan(tmp_path / "a", loose=True)))
    assert loose.to_dict()["n"] == 5


def test_uneven_and_unreadable_are_noted(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", n=12)
    fill(tmp_path, "b", n=3, first=900)
    (tmp_path / "b/bad.png").touch()
    found = audited(tmp_path)
    assert found.imbalance == 4
    assert [note.text for note in found.notes] == [
        "1 of 16 files cannot be read",
        "the classes are uneven: 12 images of 'a' and 3 of 'b'",
        "processing history was not checked by class: this needs two classes with at least 20 independent groups of "
        "images each, of at least 64 x 64 pixels",
    ]
    assert [(note.code, note.severity) for note in found.notes] == [
        ("unreadable-files", "info"),
        ("uneven-classes", "info"),
        ("processing-not-checked", "info"),
    ]


def facts(n: int, seed: int, classes: int = 2, groups: int | None = None) -> pd.DataFrame:
    """Files with random facts, which do not predict their class."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: [value] * n for name, value in EMPTY_FACTS.items()})
    return table.assign(
        path=[f"{i}.jpg" for i in range(n)],
        label=[f"class{i % classes}" for i in range(n)],
        group=[f"g{i}" if groups is None else f"{i % classes}-{i // classes % groups}" for i in range(n)],
        bytes=rng.integers(10_000, 90_000, n),
        width=rng.integers(100, 300, n),
        height=rng.integers(100, 300, n),
        format="JPEG",
        mode="RGB",
        jpeg_tables=rng.choice(["x", "y", "z"], n),
        exif=rng.random(n) < 0.3,
    )


@pytest.mark.parametrize(("classes", "weak"), [(2, 0.95), (3, 0.95)])
def test_a_file_fact_that_predicts_the_class(classes: int, weak: float) -> None:
    table = facts(300, 0, classes)
    table["exif"] = table["label"] == "class0"
    found = find_shortcuts(table)
    assert found.auc is not None
    assert found.auc > (0.97 if classes == 2 else 0.75)
    assert found.facts[0].fact == "EXIF"
    assert found.facts[0].usual["class0"] == "100 %"
    assert found.warning is not None
    assert found.warning.code == "file-facts-tell-classes"
    assert "EXIF" in found.warning.text
    assert "EXIF" in found.warning.values["facts"]


def test_file_facts_without_information_rarely_warn() -> None:
    # The rule allows three standard errors: about one in a thousand.
    found = [find_shortcuts(facts(n, seed)) for n in (10, 30, 100) for seed in range(5)]
    assert sum(f.warning is not None for f in found) == 0
    assert max(f.auc or 0 for f in found) > 0.6  # so the limit matters


def test_a_file_fact_of_the_group_is_not_one_of_the_class() -> None:
    # Each of 20 sources has its own image size: without groups the size would predict the class.
    table = facts(400, 3, groups=10)
    table["width"] = table["group"].map(
        {g: 100 + 7 * i for i, g in enumerate(np.random.default_rng(3).permutation(table["group"].unique()))}
    )
    table["height"], table["exif"], table["jpeg_tables"], table["bytes"] = table["width"], False, "x", 5000
    assert (find_shortcuts(table.assign(group=table["path"])).auc or 0) > 0.95
    assert find_shortcuts(table).warning is None


def test_nothing_varies() -> None:
    table = facts(40, 0).assign(bytes=5000, width=100, height=100, exif=False, jpeg_tables="x")
    assert find_shortcuts(table).auc == 0.5


def clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return rng.normal(size=(n, 20)) + 1.2 * labels[:, None], labels


def test_planted_label_errors_are_found() -> None:
    features, truth = clouds(400, 0)
    wrong = np.random.default_rng(1).choice(400, 20, replace=False)
    labels = truth.copy()
    labels[wrong] = 1 - labels[wrong]
    names = [str(i) for i in range(400)]
    found = find_suspects(features, labels, names, names, ["no", "yes"])
    first = {int(s.path) for s in found[:20]}
    assert len(first & set(wrong.tolist())) >= 18
    assert all(s.label != s.suggested for s in found[:10])
    assert [s.probability for s in found] == sorted(s.probability for s in found)


def test_a_group_is_held_out_together() -> None:
    # Features that identify only the group: a model that saw the group in training would know the label.
    groups = np.repeat(np.arange(20), 5)
    labels = np.random.default_rng(0).permutation(20)[groups] % 2
    features = np.eye(20)[groups]
    p = held_out_probabilities(features, labels, [str(g) for g in groups], 2)
    assert np.abs(p - 0.5).max() < 0.2
    with pytest.raises(DataError, match="at least two independent groups"):
        held_out_probabilities(features, labels, ["one"] * 100, 2)


@pytest.mark.data
def test_twenty_planted_copies_are_found(shared_data: Path, tmp_path: Path) -> None:
    originals = [
        p for label in ("real", "ai") for p in sorted((shared_data / "real-or-ai-face" / label).glob("*"))[:60]
    ]
    for path in originals:
        (tmp_path / "set" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / path.parent.name / path.name).symlink_to(path)
    planted = originals[:10] + originals[60:70]
    for path in planted:
        other = "ai" if path.parent.name == "real" else "real"
        altered(path, tmp_path / "set" / other / f"copy-{path.stem}.jpg", 60, 0.6)
    found = audited(tmp_path / "set")
    pairs = {frozenset(Path(p).stem.removeprefix("copy-") for p in c.paths) for c in found.copies.contradictions}
    assert pairs == {frozenset({path.stem}) for path in planted}


def test_names_are_escaped_for_the_terminal(
    tmp_path: Path, image: Callable[[Path, int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "\x1b[31mred\nclass").mkdir()
    for name in ("b/1.png", "\x1b[31mred\nclass/1.png", "b/\x1b]0;title\x07.png"):
        image(tmp_path / name, 1)
    assert run(typer.main.get_command(app).main, ["data", "scan", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[31mred\\nclass" in said
