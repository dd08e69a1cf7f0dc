"""Controls of sources for the images of a manifest, on simple measures or on a model's features."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.manifest import Manifest, fingerprint
from facevalue.data.simple_measures import measure
from facevalue.data.sources import sources_of
from facevalue.evaluation.source_findings import cannot_be_told, source_findings
from facevalue.evaluation.source_images import SourceImages, sample
from facevalue.evaluation.source_report import source_report
from facevalue.evidence.findings import Finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import SourceReport

SIMPLE = "file facts and small images"
"""Name of the features that need no network."""


@dataclass(frozen=True)
class SourceAudit:
    """The controls of a set of images.

    Attributes
    ----------
    report : ``None`` if the images have no sources, or a class has none that can be judged.
    findings : those of the report, or why there is none.
    """

    report: SourceReport | None = None
    findings: tuple[Finding, ...] = ()


def audit_sources(
    manifest: Manifest,
    rows: pd.DataFrame,
    features: Callable[[NDArray[np.int64]], NDArray[np.floating]] | None = None,
    name: str = SIMPLE,
    *,
    classes: Sequence[str] = (),
    seed: int = 0,
) -> SourceAudit:
    """Controls of sources on these images.

    Parameters
    ----------
    manifest : that the images are from.
    rows : (n,) of the manifest.
    features : gives the (m, d) features of the rows at (m,) places, by a model that ``name`` says; by default simple
        measures.
    classes : in the model's order; by default sorted.
    seed : of the choice of images and of the random draws.
    """
    start = time.perf_counter()
    sources = sources_of(rows)
    labels = [str(label) for label in rows["label"]]
    if not sources or len(set(labels)) < 2:
        return SourceAudit()
    chosen = sample(labels, sources, seed)
    if not chosen.possible:
        return SourceAudit(None, tuple(cannot_be_told(chosen.untold)))
    simple = measure(manifest, rows.iloc[chosen.places])
    places = chosen.places[simple.read]
    images = _images(rows, places, sources, classes or sorted(set(labels)))
    report = source_report(
        images, simple.features if features is None else features(places), name, simple.baselines, seed=seed
    )
    own = rows.iloc[places]
    provenance = Provenance.made(
        start, seed, fingerprint=fingerprint(own), source=manifest.source, split="", n=len(own)
    )
    report = report.changed(provenance=provenance, small=chosen.small, untold=(*chosen.untold, *report.untold))
    found = source_findings(report, of_model=features is not None)
    return SourceAudit(report.changed(warnings=found), found)


def _images(
    rows: pd.DataFrame, places: NDArray[np.int64], sources: Sequence[str], classes: Sequence[str]
) -> SourceImages:
    own = rows.iloc[places]
    groups = own["group"] if "group" in own.columns else [""] * len(own)
    return SourceImages.of(classes, [str(label) for label in own["label"]], [sources[i] for i in places], list(groups))
