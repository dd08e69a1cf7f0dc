"""Figures by the values of a column: against pandas, and the warnings."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facevalue as fv
from facevalue.cli.evaluate import gap_lines
from facevalue.errors import UsageError
from facevalue.evaluation.metrics import difference_of_rates, wilson
from facevalue.evaluation.slices import SMALL, binned, study, values_of
from facevalue.evidence.card import ModelCard
from facevalue.models.classifier import Classifier

CLASSES = ("ai", "real")


def drawn(seed: int, n: int, rate: dict[str, float]) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.choice(list(rate), n)
    y = rng.integers(0, 2, n)
    right = rng.random(n) < np.array([rate[v] for v in values])
    return values.tolist(), y, np.where(right, y, 1 - y)


def test_figures_are_those_that_pandas_counts() -> None:
    values, y, decided = drawn(0, 600, {"f": 0.9, "m": 0.7})
    found = study("gender", values, y, decided, CLASSES)
    table = pd.DataFrame({"value": values, "y": y, "right": y == decided})
    for s in found.slices:
        rows = table[table["value"] == s.value]
        assert s.n == len(rows)
        assert s.accuracy == pytest.approx(rows["right"].mean())
        assert s.accuracy_ci == wilson(int(rows["right"].sum()), len(rows))
        for c, label in enumerate(CLASSES):
            assert s.recall[label] == pytest.approx(rows["right"][rows["y"] == c].mean())
            assert s.count[label] == int((rows["y"] == c).sum())
    accuracy = found.gaps[0]
    assert (accuracy.figure, accuracy.best, accuracy.worst, accuracy.sure) == ("accuracy", "f", "m", True)
    by = table.groupby("value")["right"].agg(["sum", "count"]).astype(int)
    assert accuracy.gap_ci == difference_of_rates(tuple(by.loc["f"]), tuple(by.loc["m"]))  # one pair: no correction
    assert [g.figure for g in found.gaps] == ["accuracy", "recall of ai", "recall of real"]
    assert found.warnings == ()


def test_without_a_difference_a_gap_is_rarely_called_significant() -> None:
    # Ten slices have 45 pairs; without the correction about half of all studies would find a «sure» gap.
    rate = dict.fromkeys("abcdefghij", 0.8)
    sure = [study("letter", *drawn(seed, 1000, rate), CLASSES).gaps[0].sure for seed in range(200)]
    assert np.mean(sure) <= 0.05


def test_small_slices_are_marked_and_take_part_in_no_gap() -> None:
    values = ["f"] * 100 + ["m"] * 100 + ["x"] * (SMALL - 1)
    y = np.arange(len(values)) % 2
    decided = y.copy()
    decided[200:] = 1 - y[200:]  # x is always wrong, but it has too few images
    found = study("gender", values, y, decided, CLASSES)
    assert [s.small for s in found.slices] == [False, False, True]
    assert found.gaps[0].gap == 0
    assert not found.gaps[0].sure
    [warning] = found.warnings
    assert (warning.code, warning.values) == ("small-slice", {"column": "gender", "value": "x", "n": SMALL - 1})
    assert "may be chance" in gap_lines(found)[0]


def test_a_source_with_one_class_is_warned_of_and_compares_nothing_across() -> None:
    values = ["utkface"] * 60 + ["stylegan"] * 60
    y = np.array([1] * 60 + [0] * 60)
    found = study("source", values, y, np.ones(120, np.int64), CLASSES)
    assert [g.figure for g in found.gaps] == ["accuracy"]
    assert "slices-differ-in-classes" in {w.code for w in found.warnings}
    assert {s.value: s.recall for s in found.slices} == {"utkface": {"real": 1.0}, "stylegan": {"ai": 0.0}}


def test_images_without_a_value_are_left_out_and_counted() -> None:
    values = ["f"] * 40 + [""] * 5 + ["m"] * 40
    found = study("gender", values, np.zeros(85, np.int64), np.zeros(85, np.int64), CLASSES)
    assert (found.missing, sum(s.n for s in found.slices)) == (5, 80)
    [warning] = [w for w in found.warnings if w.code == "slice-value-missing"]
    assert warning.text == "gender: left out 5 images without a value"


def test_many_numbers_are_binned_evenly_and_few_are_not() -> None:
    rng = np.random.default_rng(0)
    ages = [str(a) for a in rng.integers(0, 90, 500)]
    names, where = binned("age", [*ages, ""])
    assert len(names) == 5
    assert where[-1] == -1
    counts = np.bincount(where[:-1])
    assert counts.min() > 80
    for i, name in enumerate(names):
        low, high = map(float, name.split(" to "))
        inside = [float(a) for a, w in zip(ages, where, strict=False) if w == i]
        assert (min(inside), max(inside)) == (low, high)
    assert binned("race", ["10", "2", "2", "0"])[0] == ["0", "2", "10"]
    # Half of the images share one value: fewer bins, none empty.
    names, where = binned("age", ["1"] * 50 + [str(a) for a in range(2, 52)])
    assert np.bincount(where).min() > 0
    with pytest.raises(UsageError, match="41 different values"):
        binned("person", [f"person {i}" for i in range(41)])


def test_where_the_values_come_from() -> None:
    rows = pd.DataFrame(
        {
            "key": ["real/utkface/26_0_3_x.jpg", "ai/sd/b.jpg", "ai/c.jpg"],
            "label": ["real", "ai", "ai"],
            "age": [26, None, 3],
        }
    )
    assert values_of(rows, "parent") == ["utkface", "sd", ""]
    assert values_of(rows, r"stem:^(\d+)_") == ["26", "", ""]
    assert values_of(rows, "age") == ["26.0", "", "3.0"]
    for column, message in {
        "size": "expected parent, stem:REGEX or a column: key, label, age",
        "stem:(": "not a regular expression",
        "stem:zzz": "no image has a value; e.g. real/utkface",
    }.items():
        with pytest.raises(UsageError, match=message):
            values_of(rows, column)


def test_evaluate_keeps_the_slices_on_the_card_and_in_the_page(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(made.folder, tmp_path / "model"))
    data = tmp_path / "people.csv"
    with data.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "half", "age"])
        for label in ("face", "not-face"):
            files = sorted((lfw / label).iterdir())
            rows.writerows([str(f), label, "ab"[i % 2], i] for i, f in enumerate(files))
    report = fv.evaluate(model, data, split="all", slices=["half", "age"])
    assert [s.column for s in report.slices] == ["half", "age"]
    assert [s.n for s in report.slices[0].slices] == [100, 100]
    assert report.slices[1].slices[0].value == "0 to 19"
    page = (model / "report.html").read_text()
    assert "By half" in page
    assert "0 to 19" in page
    right = sum(s.n * s.accuracy for s in report.slices[0].slices)
    assert right == pytest.approx(report.accuracy * report.n)
    # Evaluated again by one column: the slices by the other stay on the card.
    fv.evaluate(model, data, split="all", slices=["half"])
    [kept] = [e for e in ModelCard.load(model).evidence if getattr(e, "slices", ())]
    assert [s.column for s in kept.slices] == ["half", "age"]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="`slices` colour"):
        fv.evaluate(model, data, slices=["colour"])
