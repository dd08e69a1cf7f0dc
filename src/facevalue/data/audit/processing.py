"""Processing history: traces of resampling, compression and filtering that give the class or the source away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.audit.cross_validation import SEED, Folds, chance, forest_auc, grouped_folds
from facevalue.data.audit.shortcuts import LIMIT, SIGMAS
from facevalue.data.manifest import Manifest
from facevalue.data.processing_traces import COLUMNS, SIDE, SMALLEST, TRACES, measured, usual
from facevalue.errors import ImageError
from facevalue.evidence.findings import Finding, Value, finding
from facevalue.images.sources import upright
from facevalue.support import machine, progress

GAP = 0.75
"""How far the AUC must lie above that of the control, in standard deviations of normal scores (the probit of the AUC).

0.5 and 0.77 are that far apart, and so are 0.8 and 0.94. Two standard errors are added: 4 divided by the square root of
the number of independent groups in the smallest class. Classes of different content and the same processing stayed
below this, planted histories mostly above it (``benchmarks/processing_history.py``).
"""

MOST = 600
"""Images that are measured, drawn evenly from the classes."""

FEWEST = 20
"""Independent groups that each class must have, and images of each source."""

_FOLDS = 5
_SOURCES = 20  # with more folders, a folder is rather a person or a scene than a source
_NAMED_FROM = 0.6
_STRIKING = 0.8  # from this AUC on, traces that the content may explain get a note


@dataclass(frozen=True)
class ProcessingTrace:
    """One kind of trace.

    Attributes
    ----------
    trace : a key of :data:`facevalue.data.processing_traces.TRACES`.
    auc : that it reaches by itself.
    control_auc : the same at half the size of the images.
    usual : its usual value by class or source.
    """

    trace: str
    auc: float
    control_auc: float
    usual: dict[str, str]


@dataclass(frozen=True)
class Prediction:
    """How well traces of processing predict something.

    Attributes
    ----------
    auc : cross-validated area under the ROC curve, 0.5 for chance; for several classes the mean of each against the
        rest.
    control_auc : the same at half the size of the images, where most traces are gone and the content is not.
    limit : an ``auc`` up to this may be chance.
    least_gap : by how much an AUC must exceed its control, see :data:`GAP`.
    traces : by themselves, the one that is furthest above its control first; empty if ``auc`` may be chance.
    """

    auc: float
    control_auc: float
    limit: float
    least_gap: float
    traces: tuple[ProcessingTrace, ...]

    @property
    def found(self) -> bool:
        """Whether the traces predict it, better than the content does."""
        pairs = [(self.auc, self.control_auc), *((t.auc, t.control_auc) for t in self.traces)]
        return self.auc > self.limit and any(
            auc > self.limit and gap(auc, control) >= self.least_gap for auc, control in pairs
        )


@dataclass(frozen=True)
class Processing:
    """Whether classes or sources differ in how their images were processed.

    Attributes
    ----------
    n : images measured.
    too_small : images of the sample that are smaller than the part that is measured.
    side : of the part of each image that was looked at, in pixels.
    by_class : ``None`` if there are too few independent groups and no sources, or the images are too small.
    whole_groups : whether no group was on both sides of a fold for ``by_class``. With a few sources this is not
        possible: then the question is whether, among these sources, processing tells the classes apart.
    by_source : the same for the sources, which are folders below the classes; ``None`` if there are none.
    sources : the classes of each source.
    """

    n: int
    too_small: int
    side: int
    by_class: Prediction | None
    whole_groups: bool
    by_source: Prediction | None
    sources: dict[str, tuple[str, ...]]

    @property
    def warnings(self) -> Iterator[Finding]:
        """A finding for the classes and one for the sources, where the traces tell them apart."""
        if self.by_class is not None and self.by_class.found:
            what = "the classes" if self.whole_groups else "the classes of these sources"
            text, values = self._told(what, self.by_class)
            yield finding("processing-tells-classes", text, **values)
        of_one_class = all(len(classes) == 1 for classes in self.sources.values())
        if self.by_source is not None and self.by_source.found and of_one_class:
            text, values = self._told("the sources, each of one class only,", self.by_source)
            yield finding("processing-tells-sources", text, **values)

    @property
    def notes(self) -> Iterator[Finding]:
        """What was not checked, and what may have another reason."""
        if self.by_class is None:
            text = (
                "processing history was not checked by class: this needs two classes with at least "
                f"{FEWEST} independent groups of images each, of at least {SMALLEST} x {SMALLEST} pixels"
            )
            yield finding("processing-not-checked", text, n=self.n)
        elif self.by_class.auc > max(self.by_class.limit, _STRIKING) and not self.by_class.found:
            text = (
                f"sharpness, noise and other traces of processing tell the classes apart with AUC "
                f"{self.by_class.auc:.2f}, but nearly as well at half the size (AUC {self.by_class.control_auc:.2f}): "
                "the reason may be what the images show"
            )
            yield finding(
                "processing-may-tell-classes", text, auc=self.by_class.auc, control_auc=self.by_class.control_auc
            )

    def _told(self, what: str, prediction: Prediction) -> tuple[str, dict[str, Value]]:
        strongest = [t for t in prediction.traces if t.auc > _NAMED_FROM and gap(t.auc, t.control_auc) > 0]
        named = "; ".join(f"{t.trace}: AUC {t.auc:.2f}, {t.control_auc:.2f} at half the size" for t in strongest[:3])
        text = (
            f"how the images were processed tells {what} apart, with AUC {prediction.auc:.2f} (0.5 is chance, n = "
            f"{self.n}): {named or 'all traces together'}. At half the size such traces are lost and the content "
            "stays. A model may learn how files were made: make all images in the same way from originals of one kind"
        )
        return text, {
            "auc": prediction.auc,
            "control_auc": prediction.control_auc,
            "limit": prediction.limit,
            "traces": tuple(t.trace for t in strongest),
            "n": self.n,
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""

        def plain(prediction: Prediction | None) -> dict[str, Any] | None:
            if prediction is None:
                return None
            return {**vars(prediction), "found": prediction.found, "traces": [vars(t) for t in prediction.traces]}

        return {
            "n": self.n,
            "too_small": self.too_small,
            "side": self.side,
            "by_class": plain(self.by_class),
            "whole_groups": self.whole_groups,
            "by_source": plain(self.by_source),
            "sources": {name: list(classes) for name, classes in self.sources.items()},
        }


def gap(auc: float, control: float) -> float:
    """How far apart two AUCs are, in standard deviations of normal scores.

    >>> round(gap(0.84, 0.5), 2), round(gap(0.977, 0.84), 2)
    (0.99, 1.0)
    """
    from scipy.stats import norm

    return float(norm.ppf(np.clip(auc, 0.002, 0.998)) - norm.ppf(np.clip(control, 0.002, 0.998)))


def find_processing(manifest: Manifest, most: int = MOST) -> Processing:
    """Cross-validate a classifier on traces of processing, by class and by source, beside a control.

    Parameters
    ----------
    manifest : scanned, with groups; no group is on both sides of a fold for the classes. A source is a group of at
        least :data:`FEWEST` images, if there are 2 to 20 of them and they hold most images.
    most : images to measure at most, drawn evenly from the classes and, within a class, from the groups. With many
        classes it is more: :data:`FEWEST` of each.
    """
    rows = manifest.readable_of("path", "label", "group", "width", "height")
    rows = _sample(rows, max(most, FEWEST * rows["label"].nunique()))
    shorter = np.minimum(rows["width"].to_numpy(int), rows["height"].to_numpy(int))
    side = min(SIDE, int(np.percentile(shorter, 5)) // 16 * 16)
    nothing = Processing(0, len(rows), side, None, True, None, {})
    if side < SMALLEST or not (_enough_classes(rows) or _sources(rows)):
        return nothing
    large = rows[shorter >= side]
    read = partial(_measured, manifest, side)
    pairs = list(progress.track(machine.in_order(read, large["path"]), "looking for processing history", len(large)))
    kept = np.array([pair is not None for pair in pairs])
    table = large[kept]
    values = np.array([pair for pair in pairs if pair is not None]).swapaxes(0, 1)
    sources, whole = _sources(table), _enough_classes(table)
    return Processing(
        n=len(table),
        too_small=len(rows) - len(large),
        side=side,
        by_class=_by_class(table, values, whole) if whole or sources else None,
        whole_groups=whole,
        by_source=_by_source(table, values, sources) if sources else None,
        sources={name: tuple(sorted(set(table["label"][table["group"] == name]))) for name in sources},
    )


def _sample(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` rows, evenly from the classes and then from their groups; the draw is always the same."""
    if len(rows) <= most:
        return rows
    # As numbers: there may be a million groups.
    codes = pd.DataFrame({name: pd.factorize(rows[name])[0] for name in ("label", "group")})
    shuffled = codes.sample(frac=1, random_state=SEED)
    turn = shuffled.groupby(["label", "group"]).cumcount()
    ordered = shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")]
    rank = ordered.groupby("label").cumcount().sort_values(kind="stable")
    return rows.loc[rows.index[rank.index[:most]].sort_values()]


def _enough_classes(rows: pd.DataFrame) -> bool:
    groups = rows.groupby("label")["group"].nunique()
    return len(groups) >= 2 and int(groups.min()) >= FEWEST


def _sources(rows: pd.DataFrame) -> list[str]:
    """The groups that count as sources; none if they are too few, too many or too small."""
    counts = rows["group"].value_counts()
    large = counts[counts >= FEWEST]
    if not 2 <= len(large) <= _SOURCES or large.sum() < 0.8 * len(rows):
        return []
    return sorted(map(str, large.index))


def _measured(manifest: Manifest, side: int, path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    try:
        return measured(upright(manifest.images.get(path, Path(path))), side)
    except ImageError:  # it could be read a moment ago
        return None


def _by_class(table: pd.DataFrame, values: NDArray[np.float64], whole: bool) -> Prediction | None:
    groups = np.unique(table["group"].to_numpy(str), return_inverse=True)[1] if whole else np.arange(len(table))
    names, labels = np.unique(table["label"].to_numpy(str), return_inverse=True)
    if len(names) < 2 or np.bincount(labels).min() < FEWEST:
        return None
    per_class = [len(np.unique(groups[labels == c])) for c in range(len(names))]
    return _prediction(values, labels, grouped_folds(labels, groups, _FOLDS), per_class, names)


def _by_source(table: pd.DataFrame, values: NDArray[np.float64], sources: Sequence[str]) -> Prediction:
    """Images of one source are on both sides of a fold: the question is whether its images have a common history."""
    inside = table["group"].isin(sources).to_numpy()
    names, labels = np.unique(table["group"][inside].to_numpy(str), return_inverse=True)
    folds = grouped_folds(labels, np.arange(len(labels)), _FOLDS)
    return _prediction(values[:, inside], labels, folds, np.bincount(labels).tolist(), names)


def _prediction(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    folds: Folds,
    per_class: Sequence[int],
    names: NDArray[np.str_],
) -> Prediction:
    """The prediction of labels from ``values`` (2, n, d): as the images are, and at half their size."""
    limit, least_gap = max(LIMIT, 0.5 + SIGMAS * chance(per_class)), GAP + 4 / min(per_class) ** 0.5
    auc, control = (forest_auc(part, labels, folds) for part in values)
    if auc <= limit:
        return Prediction(auc, control, limit, least_gap, ())
    traces = []
    for trace, numbers in TRACES.items():
        columns = [COLUMNS.index(f"{trace}: {name}") for name in numbers]
        alone = [forest_auc(part[:, columns], labels, folds) for part in values]
        by_label = {str(name): usual(trace, values[0][labels == c][:, columns]) for c, name in enumerate(names)}
        traces.append(ProcessingTrace(trace, alone[0], alone[1], by_label))
    return Prediction(auc, control, limit, least_gap, tuple(sorted(traces, key=lambda t: -gap(t.auc, t.control_auc))))
