"""``adapt``: teach a model new sources from a few images of each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import claimed, data_facts_of, expect_other, own_images, provenance_of, save
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import with_faces
from facevalue.data.manifest import Manifest
from facevalue.data.new_sources import new_sources
from facevalue.errors import DataError, UsageError
from facevalue.evaluation import metrics
from facevalue.evaluation.evaluate import Evaluated, evaluated
from facevalue.evaluation.paired_comparison import as_loss, compare_pairs
from facevalue.evidence.findings import Finding, finding, say
from facevalue.evidence.provenance import Provenance, recorded
from facevalue.evidence.records import AdaptedSource, AdaptReport, Change
from facevalue.models.added_source import Fold, NewImages, cross_validated, margins, with_sources
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor, Features
from facevalue.models.novelty.sources import SourceDistance
from facevalue.models.origin import Origin
from facevalue.support import progress
from facevalue.support.formats import percent
from facevalue.support.html import ShownInNotebooks

LEARNED = 0.8
"""Cross-validated accuracy on a new source below which there is a finding."""


@dataclass(frozen=True, eq=False)
class AdaptResult(ShownInNotebooks):
    """The adapted classifier."""

    model: Classifier

    @property
    def report(self) -> AdaptReport:
        """The figures for the new sources, and the change on the old test images."""
        return self.model.card.of_kind(AdaptReport)[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        card, report = self.model.card, self.report
        assert card.sources is not None
        return {
            "model": None if self.model.folder is None else str(self.model.folder),
            "sources": [one.to_dict() for one in report.sources],
            "balanced_accuracy": report.balanced_accuracy,
            "auroc": report.auroc,
            "forgotten": as_loss(report.changes[0]) if report.changes else None,
            "known": list(card.sources.names),
            "weight": report.weight,
            "left_out": report.left_out,
            "warnings": [warning.to_dict() for warning in report.warnings],
            "seconds": card.provenance.seconds,
        }


@recorded
def adapt(
    model: Model,
    add: Mapping[str, Path | str],
    output: Path | str | None = None,
    *,
    overwrite: bool = False,
) -> AdaptResult:
    """Teach a model new sources, such as a camera or a generator, from 10 to 50 images of each.

    No training image is needed: the model folder keeps the means and the covariance of its sources. The last layer is
    changed as little as possible for the images that the model learned from, and the new sources count as known.
    Threshold, temperature and limits stay.

    Parameters
    ----------
    model : a classifier or model folder with known sources (recipe setting ``sources.known``); not changed.
    add : folder of images by class and source: ``{"real/camera-x": "photographs/"}``.
    output : the model folder to create; ``None`` keeps the classifier in memory.
    overwrite : replace an existing model folder.

    Raises
    ------
    UsageError
        The model has no known sources or more than two classes, a name in ``add`` does not fit, or ``output`` exists.
    DataError
        A folder has too few images that are readable, show a face where one is needed, and are new to the model.
    """
    start = time.perf_counter()
    before = opened(model)
    facts = before.card.sources
    if facts is None or not isinstance(before.novelty_score, SourceDistance) or before.origin is None:
        raise UsageError(
            "the model does not know its sources, so none can be added; train it with `settings` "
            "sources.known=on, on images with a folder for each source or a column 'source'"
        )
    if len(before.card.classes) != 2:
        raise UsageError(f"adapt is for two classes, and the model has {len(before.card.classes)}")
    with claimed(output, overwrite) as folder:
        expect_other(folder, before.folder)
        found = new_sources(add, before.card.classes, facts.names, before.origin.manifest)
        manifest = with_faces(_placed(found.manifest), before.gate)
        given = dataset_of(manifest, before.card.preprocessing, before.card.classes, name="new sources")
        extractor = Extractor(before)
        features = extractor.of(given)
        names = [f"{label}/{source}" for label, source in zip(given.rows["label"], given.rows["source"], strict=True)]
        new, order = _by_source(before, features, names, tuple(add))
        with progress.work("cross-validating the new sources", 1, "fits") as work:
            fold = cross_validated(before, new)
            after = with_sources(before, new, fold.weight)
            work.advance()
        old = own_images(before, "test")
        old_features = None if old is None else extractor.of(old, "computing features of the old test images")
        changes = (
            () if old_features is None else (compare_pairs("old test", before, old_features, after, old_features),)
        )
        figures = _figures(before, features, names, tuple(add), fold, order)
        known = facts.changed(
            names=(*facts.names, *add),
            counts=(*facts.counts, *(len(part.features) for part in new)),
            adapted=(*facts.adapted, *add),
        )
        report = AdaptReport(
            model="in memory" if before.folder is None else before.folder.name,
            weights_sha256=before.weights_sha256(),
            sources=figures,
            balanced_accuracy=_balanced(figures),
            auroc=_auroc(features.y[order], fold),
            weight=fold.weight,
            left_out=found.known,
            changes=changes,
            warnings=(*found.left_out(len(given.without_face)), *_warnings(figures, changes)),
            provenance=Provenance.made(
                start, None, fingerprint=manifest.fingerprint(), source=manifest.source, n=len(given)
            ),
        )
        say(report.warnings)
        whole = _whole(before.origin.manifest, manifest)
        card = after.card.changed(
            sources=known,
            data=data_facts_of(whole).changed(warnings=before.card.data.warnings),
            provenance=provenance_of(whole, start, before.card.provenance.seed),
            reference=None,  # the scores of the calibration images have changed, and they are not scored again
            files={},
            evidence=(),
        )
        after = after.changed(card)
        evaluations = _evaluated(after, old, old_features)
        after = after.changed(
            after.card.with_evidence(*(each.report for each in evaluations), report),
            origin=Origin(whole, before.origin.history, tuple(each.outputs for each in evaluations)),
        )
        if folder is not None:
            after = load(save(after, folder, overwrite=overwrite, parity=given, start=start))
        return AdaptResult(after)


def _evaluated(after: Classifier, old: ImageDataset | None, features: Features | None) -> list[Evaluated]:
    return [] if old is None else [evaluated(after, old, features=features)]


def _placed(manifest: Manifest) -> Manifest:
    """As training images, with keys and groups that no other image has."""
    table = manifest.table
    names = table["label"] + "/" + table["source"] + "/" + [Path(path).name for path in table["path"]]
    return replace(manifest, table=table.assign(split="train", key="adapt/" + names, group="adapt: " + names))


def _whole(known: Manifest, new: Manifest) -> Manifest:
    return replace(
        known,
        table=pd.concat([known.table, new.table], ignore_index=True),
        source=f"{known.source}; {new.source}",
        images={**known.images, **new.images},
    )


def _by_source(
    classifier: Classifier, features: Features, names: list[str], add: tuple[str, ...]
) -> tuple[list[NewImages], NDArray[np.int64]]:
    """The features source by source, and the row of each image in that order."""
    places = [np.array([i for i, one in enumerate(names) if one == name], np.int64) for name in add]
    for name, rows in zip(add, places, strict=True):
        if len(rows) < 2:
            raise DataError(f"`add` {name}: fewer than two of its images show a face")
    new = [
        NewImages(classifier.card.classes.index(name.partition("/")[0]), features.x[torch.from_numpy(rows)])
        for name, rows in zip(add, places, strict=True)
    ]
    return new, np.concatenate(places)


def _figures(
    before: Classifier,
    features: Features,
    names: list[str],
    add: tuple[str, ...],
    fold: Fold,
    order: NDArray[np.int64],
) -> tuple[AdaptedSource, ...]:
    card = before.card
    limit = np.inf if card.abstention.source is None else card.abstention.source
    side = np.where(features.y == 1, 1.0, -1.0)
    was = side * margins(before, features.x).numpy() > 0
    near = features.novelty(before) <= limit
    found = []
    for name in add:
        label, _, source = name.partition("/")
        here = np.array([one == name for one in names])
        own = here[order]
        right = (side[order] * fold.margins > 0)[own]
        found.append(
            AdaptedSource(
                label=label,
                source=source,
                n=int(here.sum()),
                before=float(was[here].mean()),
                after=float(right.mean()),
                after_ci=metrics.wilson(int(right.sum()), len(right)),
                known_before=float(near[here].mean()),
                known=float((fold.novelty[own] <= limit).mean()),
            )
        )
    return tuple(found)


def _balanced(figures: tuple[AdaptedSource, ...]) -> float:
    classes = sorted({one.label for one in figures})
    rates = [
        np.average([f.after for f in figures if f.label == c], weights=[f.n for f in figures if f.label == c])
        for c in classes
    ]
    return float(np.mean(rates))


def _auroc(y: NDArray[np.int64], fold: Fold) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, fold.margins)) if len(set(y.tolist())) == 2 else None


def _warnings(figures: tuple[AdaptedSource, ...], changes: tuple[Change, ...]) -> list[Finding]:
    found = []
    for one in figures:
        if one.after < LEARNED:
            text = (
                f"{one.label}/{one.source}: only {percent(one.after)} of {one.n} images are predicted correctly in "
                "cross-validation"
            )
            found.append(finding("source-not-learned", text, label=one.label, source=one.source, rate=one.after))
    if not changes:
        text = "the model's own test images were not found, so it is not known what was forgotten"
        found.append(finding("old-images-not-found", text))
    for old in changes:
        if old.change_ci[1] < 0:
            text = f"accuracy on the old test images fell by {-100 * old.change:.1f} points (n = {old.n})"
            low, high = old.change_ci
            found.append(finding("forgotten", text, change=old.change, low=low, high=high, n=old.n))
    return found
