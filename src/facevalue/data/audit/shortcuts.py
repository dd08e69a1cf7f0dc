"""Shortcuts: facts of the files, such as format or size, that give the class away without the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.audit.cross_validation import SEED, chance, forest_auc, grouped_folds
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

    An AUC counts only if it lies :data:`SIGMAS` standard errors of chance above one half, for this number of
    independent groups.
    """
    table = _some(table)
    groups = np.unique(table["group"].to_numpy(str), return_inverse=True)[1]
    classes, labels = np.unique(table["label"].to_numpy(str), return_inverse=True)
    per_class = [len(np.unique(groups[labels == c])) for c in range(len(classes))]
    if len(classes) < 2 or min(per_class) < 2:
        return Shortcuts(None, LIMIT, ())
    limit = max(LIMIT, 0.5 + SIGMAS * chance(per_class))
    columns = _facts(table)
    if not columns:
        return Shortcuts(0.5, limit, ())
    folds = grouped_folds(labels, groups, min(_FOLDS, *per_class))
    with progress.work("checking file facts", 1 + len(columns), "facts") as work:
        auc = forest_auc(np.hstack([*columns.values()]), labels, folds)
        work.advance()
        if auc <= _NAMED_FROM:
            return Shortcuts(auc, limit, ())
        alone = {}
        for name, values in columns.items():
            alone[name] = forest_auc(values, labels, folds)
            work.advance()
    ranked = sorted(alone.items(), key=lambda item: -item[1])
    facts = [ShortcutFact(name, reached, _usual(table, name)) for name, reached in ranked if reached > _NAMED_FROM]
    return Shortcuts(auc, limit, tuple(facts))


def _some(table: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`_MOST` rows, in whole groups; the draw is always the same."""
    if len(table) <= _MOST:
        return table
    group, names = pd.factorize(table["group"])  # as numbers: there may be a million groups
    shuffled = pd.Series(np.arange(len(names))).sample(frac=1, random_state=SEED).to_numpy()
    total = np.cumsum(np.bincount(group)[shuffled])
    return table[np.isin(group, shuffled[total <= _MOST])]


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


FACTS = (
    *("label", "group", "width", "height", "bytes", "jpeg_quality", "exif", "icc", "progressive"),
    *("format", "mode", "jpeg_tables", "sampling", "origin_marks"),
)
"""The columns that are looked at."""

_NAMES = {
    "format": "format",
    "mode": "mode",
    "JPEG tables": "jpeg_tables",
    "JPEG sampling": "sampling",
    "marks of origin": "origin_marks",
}


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
