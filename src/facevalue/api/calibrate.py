"""``calibrate``: temperature and abstention limits fitted on other images."""

from __future__ import annotations

from pathlib import Path

import msgspec

from facevalue.api.common.model_folder import PARITY_IMAGES, free_place
from facevalue.data.evaluation_data import calibration_data
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.evaluate import now
from facevalue.evidence.card import HISTORY, MANIFEST, ONNX, ModelCard
from facevalue.export import EXPORTERS
from facevalue.models.classifier import load
from facevalue.models.features import outputs_of
from facevalue.reports.model_page import write_report
from facevalue.support import files, machine, progress
from facevalue.training.recipe import read
from facevalue.training.settings import CalibrationSettings


def calibrate(model: Path | str, data: Path | str, output: Path | str, *, command: str = "") -> ModelCard:
    """A new model folder whose temperature and abstention limits are fitted on other images.

    Raises
    ------
    UsageError
        ``output`` is taken.
    DataError
        ``data`` lacks a class, or has one that the model does not know; or the model has learned from all of it.
    """
    folder, output = Path(model), free_place(Path(output), overwrite=False)
    classifier = load(folder)
    asked = calibration_data(folder, classifier.card, Path(data))
    held_out = asked.dataset
    for warning in asked.warnings:
        progress.note(f"warning: {warning}")
    machine.keep_memory()
    # The model's own targets; a card made by hand has no recipe, and takes what the probe has.
    own = classifier.card.recipe.get("calibration")
    settings = read("probe").calibration if own is None else msgspec.convert(own, CalibrationSettings)
    classifier = calibrated(
        classifier,
        outputs_of(classifier, held_out),
        target=settings.target,
        floor=settings.floor,
        quantile=settings.quantile,
    )
    # Evidence of the old temperature says nothing of the new one.
    data_facts = classifier.card.data.changed(warnings=(*classifier.card.data.warnings, *asked.warnings))
    card = classifier.card.changed(evidence=(), data=data_facts, command=command, created=now())
    with files.replacing_folder(output) as partial:
        for name in (HISTORY, MANIFEST):
            (partial / name).write_bytes(classifier.card.checked_file(folder, name).read_bytes())
        card = classifier.changed(card).save(partial)
        exported = EXPORTERS["onnx"](classifier.changed(card), partial / ONNX, held_out.some(PARITY_IMAGES))
        card = card.changed(files={**card.files, ONNX: files.sha256(partial / ONNX)}).with_evidence(exported)
        card.save(partial)
        write_report(partial)
    return card
