"""Figures of a model by slices: by the values of a column such as age, gender or source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.errors import UsageError
from facevalue.evaluation import metrics
from facevalue.evidence.findings import NAMED, Finding, finding, named
from facevalue.evidence.records import Gap, SliceFigures, SliceStudy

SMALL = 30
"""A slice (for recall: a class in a slice) with fewer images than this is not compared."""

MANY = 8
"""A numeric column with more different values than this is binned."""

BINS = 5
MOST = 40
"""Largest number of different values of a column that is not binned; more values suggest an identifier."""

_SKEW = 0.2  # difference of a class's share between slices above which accuracies are not comparable

Ints = NDArray[np.int64]


def values_of(rows: pd.DataFrame, column: str) -> list[str]:
    """(n,) the value of each image; "" if it has none.

    Parameters
    ----------
    rows : of a manifest.
    column : a column name; ``parent`` (the file's folder, below that of its class); or ``stem:REGEX`` (the first
        captured group in the file name).

    Raises
    ------
    UsageError
        The column does not exist or is empty, or the pattern is invalid or matches no file name.
    """
    keys = [PurePosixPath(key) for key in rows["key"]]
    if column.startswith("stem:"):
        try:
            pattern = re.compile(column.removeprefix("stem:"))
        except re.error as error:
            raise UsageError(f"`slices` {column}: not a regular expression: {error}") from error
        found = [pattern.search(key.stem) for key in keys]
        values = ["" if m is None else (m.group(1) if m.groups() else m.group(0)) or "" for m in found]
    elif column == "parent":
        folders = [key.parent.name for key in keys]
        values = ["" if folder == label else folder for folder, label in zip(folders, rows["label"], strict=True)]
    elif column in rows.columns:
        values = [str(value) for value in rows[column].astype(object).where(rows[column].notna(), "")]
    else:
        raise UsageError(f"`slices` {column}: expected parent, stem:REGEX or a column: {', '.join(rows.columns)}")
    if not any(values):
        raise UsageError(f"`slices` {column}: no image has a value; e.g. {keys[0]}")
    return values


def study(column: str, values: Sequence[str], y: Ints, decided: Ints, classes: tuple[str, ...]) -> SliceStudy:
    """Figures by the values of one column, and the largest gaps between slices.

    The interval of a gap holds for all pairs of slices together (Bonferroni), because the largest of many differences
    can be large by chance.

    Parameters
    ----------
    values : (n,) from :func:`values_of`; empty values are counted and left out.
    y, decided : (n,) true and predicted classes, indices into ``classes``.

    Raises
    ------
    UsageError
        The column has too many different values that are not numbers.
    """
    names, where = binned(column, values)
    slices = [_figures(name, y[where == i], decided[where == i], classes) for i, name in enumerate(names)]
    right = decided == y
    gaps = [_gap("accuracy", {n: _count(right[where == i]) for i, n in enumerate(names)})]
    for c, label in enumerate(classes):
        counts = {n: _count(right[(where == i) & (y == c)]) for i, n in enumerate(names)}
        gaps.append(_gap(f"recall of {label}", counts))
    return SliceStudy(
        column=column,
        slices=tuple(slices),
        gaps=tuple(gap for gap in gaps if gap is not None),
        missing=int((where < 0).sum()),
        warnings=tuple(_warnings(column, slices, int((where < 0).sum()), y, where, classes)),
    )


def binned(column: str, values: Sequence[str]) -> tuple[list[str], Ints]:
    """Names of the slices, and for each image the index of its slice; -1 if it has no value.

    Numbers with more than :data:`MANY` different values go into :data:`BINS` bins with about equal numbers of images.

    >>> binned("gender", ["f", "m", "", "f"])
    (['f', 'm'], array([ 0,  1, -1,  0]))
    >>> names, where = binned("age", [str(age) for age in range(1, 101)])
    >>> names, np.bincount(where).tolist()
    (['1 to 20', '21 to 40', '41 to 60', '61 to 80', '81 to 100'], [20, 20, 20, 20, 20])
    """
    given = [value for value in values if value]
    numbers = _numbers(given)
    if numbers is not None and len(set(numbers)) > MANY:
        return _binned_numbers(values, np.array(numbers))
    different = sorted(set(given), key=float) if numbers is not None else sorted(set(given))
    if len(different) > MOST:
        raise UsageError(
            f"`slices` {column}: {len(different)} different values, e.g. {different[0]!r}; "
            f"choose a column with at most {MOST} values, or with numbers"
        )
    place = {name: i for i, name in enumerate(different)}
    return different, np.array([place.get(value, -1) for value in values], np.int64)


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _binned_numbers(values: Sequence[str], numbers: NDArray[np.float64]) -> tuple[list[str], Ints]:
    ends = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    raw = np.searchsorted(ends, numbers, side="left")
    used, bins = np.unique(raw, return_inverse=True)
    names = [f"{numbers[raw == b].min():g} to {numbers[raw == b].max():g}" for b in used]
    where = np.full(len(values), -1, np.int64)
    where[[i for i, value in enumerate(values) if value]] = bins
    return names, where


def _count(right: NDArray[np.bool_]) -> tuple[int, int]:
    return int(right.sum()), len(right)


def _figures(name: str, y: Ints, decided: Ints, classes: tuple[str, ...]) -> SliceFigures:
    right = decided == y
    counts = {classes[c]: _count(right[y == c]) for c in range(len(classes)) if (y == c).any()}
    return SliceFigures(
        value=name,
        n=len(y),
        accuracy=float(right.mean()),
        accuracy_ci=metrics.wilson(int(right.sum()), len(y)),
        count={label: n for label, (_, n) in counts.items()},
        recall={label: k / n for label, (k, n) in counts.items()},
        recall_ci={label: metrics.wilson(k, n) for label, (k, n) in counts.items()},
        small=len(y) < SMALL,
    )


def _gap(figure: str, counts: dict[str, tuple[int, int]]) -> Gap | None:
    large = {name: (k, n) for name, (k, n) in counts.items() if n >= SMALL}
    if len(large) < 2:
        return None
    best = max(large, key=lambda name: large[name][0] / large[name][1])
    worst = min(large, key=lambda name: large[name][0] / large[name][1])
    pairs = len(large) * (len(large) - 1) / 2
    low, high = metrics.difference_of_rates(large[best], large[worst], 1 - 0.05 / pairs)
    rates = [large[name][0] / large[name][1] for name in (best, worst)]
    return Gap(figure=figure, best=best, worst=worst, gap=rates[0] - rates[1], gap_ci=(low, high), sure=low > 0)


def _warnings(
    column: str, slices: Sequence[SliceFigures], missing: int, y: Ints, where: Ints, classes: tuple[str, ...]
) -> list[Finding]:
    small = [s for s in slices if s.small]
    found = [
        finding(
            "small-slice",
            f"{column} {s.value}: only {s.n} image{'s' * (s.n != 1)}, too few to compare (fewer than {SMALL})",
            column=column,
            value=s.value,
            n=s.n,
        )
        for s in small
    ]
    if len(small) > NAMED:
        values = tuple(s.value for s in small)
        text = f"{column}: {len(small)} values have fewer than {SMALL} images, too few to compare: {named(values)}"
        found = [finding("small-slice", text, column=column, values=values)]
    if missing:
        text = f"{column}: left out {missing} image{'s' * (missing != 1)} without a value"
        found.append(finding("slice-value-missing", text, column=column, n=missing))
    large = [i for i, s in enumerate(slices) if not s.small]
    shares = np.array([[(y[where == i] == c).mean() for c in range(len(classes))] for i in large])
    if len(large) > 1 and float(np.ptp(shares, axis=0).max()) > _SKEW:
        text = f"{column}: the class shares differ between the slices, so compare recall, not accuracy"
        found.append(finding("slices-differ-in-classes", text, column=column))
    return found
