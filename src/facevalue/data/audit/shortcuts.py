"""Shortcuts: facts of the files, such as format or size, that give the class away without the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.evidence.findings import Finding, finding
from facevalue.support import progress
from facevalue.support.few_images import sure_of_classes
from facevalue.support.formats import percent

LIMIT = 0.6
"""File facts are a warning from this AUC on."""

SIGMAS = 3.0
"""The AUC must also lie this many standard errors of chance above one half."""

_NAMED_FROM = 0.55  # a fact with a lower AUC by itself is not named
_FOLDS = 5
_MOST = 6000  # images; enough to find a shortcut
_KINDS = 30  # most different values of a categorical fact
_SEED = 0


@dataclass(frozen=True)
class ShortcutFact:
    """A fact of the files, the AUC that it reaches by itself, and its usual value in each class."""

    fact: str
    auc: float
    usual: dict[str, str]


@dataclass(frozen=True)
class Shortcuts:
    """How well file facts predict the class.

    Attributes
    ----------
    auc : cross-validated area under the ROC curve, 0.5 for chance; for several classes the mean of each against the
        rest. ``None`` for a single class, or too few groups to hold some out.
    limit : an ``auc`` above it is a warning: :data:`LIMIT`, or more if chance can give more on few groups.
    facts : those that help to predict the class, the strongest first.
    """

    auc: float | None
    limit: float
    facts: tuple[ShortcutFact, ...]

    @property
    def warning(self) -> Finding | None:
        """A finding if the file facts predict the class."""
        if self.auc is None or self.auc <= self.limit:
            return None
        named = ", ".join(f"{f.fact} ({f.auc:.2f})" for f in self.facts[:3]) or "only together"
        advice = (
            "file size also depends on what the image shows: smooth images make smaller files"
            if {f.fact for f in self.facts} <= {"bytes", "bytes per pixel"} and self.facts
            else "facevalue data prepare encodes all images in the same way"
        )
        text = (
            f"file facts alone, without the images, predict the class with AUC {self.auc:.2f} (0.5 is chance):"
            f" {named}. A model may learn these facts instead of what the images show; {advice}"
        )
        facts = tuple(f.fact for f in self.facts)
        return finding("file-facts-tell-classes", text, auc=self.auc, limit=self.limit, facts=facts)


@sure_of_classes()
def find_shortcuts(table: pd.DataFrame) -> Shortcuts:
    """Cross-validate a classifier on the facts of readable rows; no group is on both sides of a fold.

    An AUC counts only if it lies :data:`SIGMAS` standard errors above one half. The standard error is that of the
    Mann-Whitney U statistic (Hanley & McNeil 1982) for this number of independent groups.
    """
    table = _some(table)
    groups = np.unique(table["group"].to_numpy(str), return_inverse=True)[1]
    classes, labels = np.unique(table["label"].to_numpy(str), return_inverse=True)
    per_class = [len(np.unique(groups[labels == c])) for c in range(len(classes))]
    if len(classes) < 2 or min(per_class) < 2:
        return Shortcuts(None, LIMIT, ())
    limit = max(LIMIT, 0.5 + SIGMAS * _chance(per_class))
    columns = _facts(table)
    if not columns:
        return Shortcuts(0.5, limit, ())
    folds = _folds(labels, groups, min(_FOLDS, *per_class))
    with progress.work("checking file facts", 1 + len(columns), "facts") as work:
        auc = _auc(np.hstack([*columns.values()]), labels, folds)
        work.advance()
        if auc <= _NAMED_FROM:
            return Shortcuts(auc, limit, ())
        alone = {}
        for name, values in columns.items():
            alone[name] = _auc(values, labels, folds)
            work.advance()
    ranked = sorted(alone.items(), key=lambda item: -item[1])
    facts = [ShortcutFact(name, reached, _usual(table, name)) for name, reached in ranked if reached > _NAMED_FROM]
    return Shortcuts(auc, limit, tuple(facts))


def _some(table: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`_MOST` rows, in whole groups; the draw is always the same."""
    if len(table) <= _MOST:
        return table
    names = table["group"].drop_duplicates()
    sizes = table["group"].map(table["group"].value_counts())
    shuffled = names.sample(frac=1, random_state=_SEED)
    total = sizes.loc[shuffled.index].cumsum()
    return table[table["group"].isin(shuffled[total <= _MOST])]


def _chance(per_class: Sequence[int]) -> float:
    """Standard error of a chance AUC, the mean over each class against the rest."""
    whole = sum(per_class)
    errors = [np.sqrt((whole + 1) / (12 * n * (whole - n))) for n in per_class]
    return float(np.mean(errors))


def _facts(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """(n, …) columns of each fact that differs between files."""
    pixels = table["width"].to_numpy(float) * table["height"].to_numpy(float)
    numbers = {
        "bytes": np.log(table["bytes"].to_numpy(float)),
        "bytes per pixel": np.log(table["bytes"].to_numpy(float) / pixels),
        "width": table["width"].to_numpy(float),
        "height": table["height"].to_numpy(float),
        "aspect": table["width"].to_numpy(float) / table["height"].to_numpy(float),
        "JPEG quality": table["jpeg_quality"].to_numpy(float),
        "EXIF": table["exif"].to_numpy(float),
        "colour profile": table["icc"].to_numpy(float),
        "progressive": table["progressive"].to_numpy(float),
    }
    found = {name: values[:, None] for name, values in numbers.items() if np.ptp(values) > 0}
    for name, column in _NAMES.items():
        frequent = table[column].value_counts().index[:_KINDS]
        if len(frequent) > 1:
            found[name] = np.stack([(table[column] == value).to_numpy(float) for value in frequent], axis=1)
    return found


_NAMES = {"format": "format", "mode": "mode", "JPEG tables": "jpeg_tables", "JPEG sampling": "sampling"}


def _folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], n: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n, shuffle=True, random_state=_SEED)
    return list(splitter.split(np.zeros(len(labels)), labels, groups))


def _auc(
    facts: NDArray[np.float64],
    labels: NDArray[np.int64],
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> float:
    """AUC of a small forest on the held-out part of each fold; the mean over folds that hold every class."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score

    classes = int(labels.max()) + 1
    found, weights = [], []
    for train, test in folds:
        if len(np.unique(labels[train])) < classes or len(np.unique(labels[test])) < classes:
            continue
        forest = ExtraTreesClassifier(
            20, min_samples_leaf=max(2, len(train) // 200), max_features=None, random_state=_SEED
        )
        p = forest.fit(facts[train], labels[train]).predict_proba(facts[test])
        given = p[:, 1] if classes == 2 else p
        found.append(roc_auc_score(labels[test], given, multi_class="ovr", average="macro"))
        weights.append(len(test))
    return float(np.average(found, weights=weights)) if found else 0.5


def _usual(table: pd.DataFrame, fact: str) -> dict[str, str]:
    """The usual value of this fact in each class, as text."""
    column = {**_NAMES, "JPEG quality": "jpeg_quality", "EXIF": "exif", "colour profile": "icc"}.get(fact, fact)
    rows = table.assign(
        **{
            "bytes per pixel": table["bytes"] / (table["width"] * table["height"]),
            "aspect": table["width"] / table["height"],
        }
    )
    usual = {}
    for label, values in rows.groupby("label")[column]:
        if fact in _NAMES:
            most = values.value_counts()
            usual[str(label)] = f"{most.index[0] or 'none'} ({percent(most.iloc[0] / len(values), 0)})"
        elif column in ("exif", "icc", "progressive"):
            usual[str(label)] = f"{percent(float(values.mean()), 0)}"
        else:
            low, middle, high = np.percentile(values.to_numpy(float), (5, 50, 95))
            plain = "{:,.0f}" if high >= 100 else "{:.3g}"
            usual[str(label)] = f"{plain.format(middle)} ({plain.format(low)} to {plain.format(high)})"
    return usual
