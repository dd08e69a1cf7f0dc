"""Writing model folders: what every verb that makes one shares."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import CARD, HISTORY, MANIFEST, ONNX, DataFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AnyEvidence, ExportReport
from facevalue.evidence.store import keep_evidence
from facevalue.export import EXPORTERS
from facevalue.models.classifier import Classifier
from facevalue.reports.model_page import write_report
from facevalue.support import files
from facevalue.support.output_folder import free_folder

PARITY_IMAGES = 32
"""Images that an exported file is compared on."""


def data_facts_of(manifest: Manifest) -> DataFacts:
    """What a card says of a manifest with groups and splits."""
    rows = manifest.readable
    by_split = rows.groupby("split")["group"]
    shared = rows.groupby("group")["key"].transform("size") > 1
    return DataFacts(
        counts=manifest.counts(),
        groups=manifest.groups,
        group_count={str(split): int(groups.nunique()) for split, groups in by_split},
        grouped=int(shared.sum()),
        unreadable=manifest.unreadable,
        warnings=manifest.warnings,
    )


def provenance_of(manifest: Manifest, start: float, seed: int | None) -> Provenance:
    """Where a model comes from that is made from all images of a manifest."""
    fingerprint, n = manifest.fingerprint(), len(manifest.readable)
    return Provenance.made(start, seed, fingerprint=fingerprint, source=manifest.source, n=n)


def save(
    classifier: Classifier,
    folder: Path,
    *,
    overwrite: bool = False,
    parity: ImageDataset | None = None,
    start: float | None = None,
) -> Path:
    """Write a whole model folder: history, manifest, weights, graph with its parity, card, page.

    Parameters
    ----------
    folder : taken only where ``overwrite`` is true and a model is there.
    parity : images that ``model.onnx`` is compared on; by default the model's own test images.
    start : ``time.perf_counter()`` when the work began, for the card; by default the card keeps its time.

    Raises
    ------
    UsageError
        ``folder`` is taken or cannot be written to, or it is not known what the classifier was made from.
    DataError
        There is no image to measure the parity on.
    """
    free_place(folder, overwrite)
    origin = classifier.origin
    if origin is None:
        raise UsageError("it is not known what this classifier was made from, and a model folder says so: train one")
    images = (parity_images(classifier) if parity is None else parity).some(PARITY_IMAGES)
    with files.replacing_folder(folder) as partial:
        lines = "".join(json.dumps(line) + "\n" for line in origin.history)
        (partial / HISTORY).write_text(lines, encoding="utf-8", newline="\n")
        # Absolute, so that the images are found again from elsewhere; no fingerprint knows of paths.
        here = [p if p in origin.manifest.images else os.path.abspath(p) for p in origin.manifest.table["path"]]  # noqa: PTH100 - links stay links
        origin.manifest.changed(path=here).save(partial / MANIFEST)
        card = classifier.write(partial)
        exported = EXPORTERS["onnx"](classifier, partial / ONNX, images)
        made = {name: files.sha256(partial / name) for name in (ONNX, HISTORY, MANIFEST)}
        provenance = card.provenance
        if start is not None:
            provenance = provenance.changed(seconds=time.perf_counter() - start)
        others = [e for e in card.evidence if not (isinstance(e, ExportReport) and e.path == ONNX)]
        card = card.changed(files={**card.files, **made}, provenance=provenance, evidence=(*others, exported))
        card.save(partial)
        write_report(partial)
    return folder


def parity_images(classifier: Classifier) -> ImageDataset:
    """The model's own test images, where they still are.

    Raises
    ------
    DataError
        There are none any more.
    """
    origin = classifier.origin
    if origin is not None:
        table = origin.manifest.table
        there = np.array([path in origin.manifest.images or Path(path).is_file() for path in table["path"]], bool)
        own = replace(origin.manifest, table=table[(table["split"] == "test") & there])
        if not own.readable.empty:
            return dataset_of(own, classifier.card.preprocessing, classifier.card.classes, "test")
    raise DataError("the model's test images are no longer where they were; give others with `images`")


def free_place(output: Path, overwrite: bool) -> Path:
    """The place of a model folder to be, after asking that it is free, or a model that may be replaced."""
    free_folder(output, CARD, "a model folder", overwrite)
    return output


def keep(folder: Path, *evidence: AnyEvidence) -> None:
    """Put evidence on a model folder's card and draw its page anew."""
    keep_evidence(folder, *evidence)
    write_report(folder)
