"""A model's bill of materials for supply-chain tools: CycloneDX 1.6 with a machine-learning model."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facevalue.evidence.card import WEIGHTS, ModelCard
from facevalue.evidence.published import public_card
from facevalue.evidence.purpose import purpose_of
from facevalue.evidence.records import Evaluation
from facevalue.support import files

FILE = "bom.cdx.json"


def write_bom(card: ModelCard, folder: Path) -> None:
    """Write the bill of materials as :data:`FILE` in a folder."""
    files.write_text(folder / FILE, json.dumps(bom_of(card), indent=1, ensure_ascii=False) + "\n")


def bom_of(card: ModelCard) -> dict[str, Any]:
    """The bill of materials as plain values: the model, its initial weights, its images and the libraries.

    It names no local path. It is the same for the same card.
    """
    weights = card.files.get(WEIGHTS, card.decision())
    parts = [*_initial_weights(card), *_images(card), *_libraries(card)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(card.decision().encode()).hexdigest()[:32])}",
        "version": 1,
        "metadata": {
            **({"timestamp": card.provenance.created} if card.provenance.created else {}),
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": f"{' or '.join(card.classes[:6])} ({card.network.name})",
                "version": card.decision()[:12],
                "hashes": [{"alg": "SHA-256", "content": weights}],
                "modelCard": _model_card(card),
            },
        },
        "components": parts,
        "dependencies": [{"ref": "model", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _model_card(card: ModelCard) -> dict[str, Any]:
    purpose = purpose_of(card)
    limits = [warning.text for warning in card.data.warnings]
    considerations: dict[str, Any] = {}
    if purpose.intended:
        considerations["useCases"] = [purpose.intended]
    if limits or purpose.not_for:
        considerations["technicalLimitations"] = [*(f"not for: {each}" for each in purpose.not_for), *limits]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image-classification",
            "modelArchitecture": card.network.name,
            **({"datasets": [{"ref": "images"}]} if card.provenance.fingerprint else {}),
            "inputs": [{"format": "image"}],
            "outputs": [{"format": f"probabilities of {', '.join(card.classes)}, or an abstention with its reason"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(card))},
        **({"considerations": considerations} if considerations else {}),
    }


def _metrics(card: ModelCard) -> Iterator[dict[str, Any]]:
    for report in card.of_kind(Evaluation):
        yield _metric("accuracy", report.accuracy, report.split, report.accuracy_ci)
        yield _metric("expected calibration error", report.ece, report.split, report.ece_ci)
        yield _metric("share of images answered", report.coverage, report.split)
        if report.auroc is not None:
            yield _metric("AUROC", report.auroc, report.split, report.auroc_ci)


def _metric(kind: str, value: float, split: str, ends: tuple[float, float] | None = None) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": kind, "value": f"{value:.4f}", "slice": split}
    if ends is not None:
        metric["confidenceInterval"] = {"lowerBound": f"{ends[0]:.4f}", "upperBound": f"{ends[1]:.4f}"}
    return metric


def _initial_weights(card: ModelCard) -> Iterator[dict[str, Any]]:
    if card.network.weights == "none":
        return
    public = public_card(card)["network"]
    yield {
        "type": "machine-learning-model",
        "bom-ref": "initial-weights",
        "name": f"initial weights: {public['weights']}",
        **({"hashes": [{"alg": "SHA-256", "content": public["weights_sha256"]}]} if public["weights_sha256"] else {}),
        **({"licenses": [{"license": {"name": card.network.licence}}]} if card.network.licence else {}),
    }


def _images(card: ModelCard) -> Iterator[dict[str, Any]]:
    if not card.provenance.fingerprint:
        return
    n = sum(count for by_class in card.data.counts.values() for count in by_class.values())
    yield {
        "type": "data",
        "bom-ref": "images",
        "name": str(public_card(card)["provenance"]["source"]) or "images in memory",
        "description": f"{n:,} labelled images: {', '.join(card.classes)}",
        "hashes": [{"alg": "SHA-256", "content": card.provenance.fingerprint}],
    }


def _libraries(card: ModelCard) -> Iterator[dict[str, Any]]:
    for name, version in card.provenance.versions.items():
        yield {"type": "library", "bom-ref": f"library:{name}", "name": name, "version": str(version)}
