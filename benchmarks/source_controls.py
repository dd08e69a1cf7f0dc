"""Controls of sources for the tasks of the measuring set: classes, or only sources?

Heads on MobileNetV2 features of at most 800 images a task, evenly from its sources. Run from the
project's root: ``python -m benchmarks.source_controls [PART OF A NAME]``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.common import RESULTS, data, keep, kept, mobilenet
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evaluation.source_audit import audit_sources
from facevalue.evaluation.source_images import sample
from facevalue.models.features import Extractor
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read

NAME = "source_controls"
Row = tuple[Path, str, str]
"""An image, its class, its source."""


def _folders(root: Path) -> Iterator[Row]:
    """``class/source/image``."""
    for path in sorted(root.rglob("*.*")):
        label, source = path.relative_to(root).parts[:2]
        yield path, label, source


def _by_set() -> Iterator[Row]:
    """The official training and test renderings: landscapes and plain white behind them."""
    root = data("horse-or-human-grey100")
    for path in sorted(root.rglob("*.png")):
        split, label = path.relative_to(root).parts[:2]
        yield path, label, split


def _by_figure() -> Iterator[Row]:
    """The rendered figures of the training half: frames of one share the stem of the name."""
    for path in sorted(data("horse-or-human-rgb300").rglob("*.jpg")):
        yield path, path.parent.name, re.sub(r"-\d+$", "", path.stem)


def faces() -> Iterator[Row]:
    """Faces re-encoded by one recipe, and further sources as they saved their files."""
    yield from _folders(data("faces-by-source"))
    for path, label, source in _folders(data("faces-more-sources")):
        yield path, label, f"{source}-as-saved"


TASKS = {
    "human-or-object, by person and category": lambda: _folders(data("human-or-object")),
    "horse-or-human, by official set": _by_set,
    "horse-or-human, by rendered figure": _by_figure,
    "real-or-ai-face, by source": faces,
}


def measure(rows: list[Row]) -> dict[str, object]:
    """The report and the findings of a task."""
    labels, sources = [label for _, label, _ in rows], [source for *_, source in rows]
    drawn = sample(labels, sources)
    chosen = [rows[i] for i in drawn.places]
    table = pd.DataFrame([(str(path), label, source) for path, label, source in chosen])
    table.columns = pd.Index(["path", "label", "source"])
    manifest = scan(table)
    classes = tuple(sorted(set(labels)))
    classifier = new_classifier(read("probe", {"network.weights": mobilenet(), "gate.kind": "none"}), classes)
    images: ImageDataset = dataset_of(manifest, classifier.card.preprocessing, classes)
    features = Extractor(classifier).features(images).numpy()
    own = manifest.readable
    found = audit_sources(
        manifest, own, features.__getitem__, f"features of {classifier.card.network.name}", classes=classes
    )
    assert found.report is not None
    simple = audit_sources(manifest, own, classes=classes)
    assert simple.report is not None
    return {
        "images": len(rows),
        "not_used": list(drawn.untold),
        "controls": found.report.changed(warnings=()).to_dict(),
        "findings": [one.to_dict() for one in found.findings],
        "findings_of_simple_measures": [one.to_dict() for one in simple.findings],
        "simple_measures": {"accuracy": simple.report.accuracy, "auroc": simple.report.auroc},
    }


def main(tasks: str = "") -> None:
    found = kept(NAME)["tasks"] if tasks and (RESULTS / f"{NAME}.json").exists() else {}
    for name, rows in TASKS.items():
        if tasks in name:
            found[name] = measure(list(rows()))
            keep(NAME, {"tasks": found})


if __name__ == "__main__":
    main(*sys.argv[1:])
