"""Writing model folders: what every verb that makes one shares."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from facevalue.data.dataset import ImageDataset
from facevalue.data.manifest import Manifest
from facevalue.evidence.card import CARD, HISTORY, MANIFEST, ONNX, DataFacts, ModelCard
from facevalue.evidence.records import Evidence
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
        source=manifest.source,
        fingerprint=manifest.fingerprint(),
        counts=manifest.counts(),
        groups=manifest.groups,
        group_count={str(split): int(groups.nunique()) for split, groups in by_split},
        grouped=int(shared.sum()),
        unreadable=manifest.unreadable,
        warnings=manifest.warnings,
    )


def versions() -> dict[str, str]:
    """Of Python and of the packages that a model's figures depend on."""
    import platform

    names = ("facevalue", "torch", "timm", "onnx", "onnxruntime", "numpy", "pillow", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def write_folder(
    folder: Path,
    classifier: Classifier,
    manifest: Manifest,
    history: Sequence[Mapping[str, Any]],
    splits: Mapping[str, ImageDataset],
    start: float,
) -> ModelCard:
    """Fill an empty folder with a finished model: history, manifest, weights, graph with parity, card, report.

    Parameters
    ----------
    splits : ``test`` is what the parity of ``model.onnx`` is measured on.
    start : ``time.perf_counter()`` when the work began.
    """
    (folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in history), encoding="utf-8")
    # Absolute, so that the images are found again from elsewhere; no fingerprint knows of paths.
    manifest.changed(path=manifest.table["path"].map(os.path.abspath)).save(folder / MANIFEST)
    card = classifier.save(folder)
    exported = EXPORTERS["onnx"](classifier, folder / ONNX, splits["test"].some(PARITY_IMAGES))
    made = {name: files.sha256(folder / name) for name in (ONNX, HISTORY, MANIFEST)}
    card = card.changed(files={**card.files, **made}, seconds=time.perf_counter() - start).with_evidence(exported)
    card.save(folder)
    write_report(folder)
    return card


def free_place(output: Path, overwrite: bool) -> Path:
    """The place of a model folder to be, after asking that it is free, or a model that may be replaced."""
    free_folder(output, CARD, "a model folder", overwrite)
    return output


def keep(folder: Path, *evidence: Evidence) -> None:
    """Put evidence on a model folder's card and draw its page anew."""
    keep_evidence(folder, *evidence)
    write_report(folder)
