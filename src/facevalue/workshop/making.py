"""Making a model folder: scan → split → fit → calibrate → evaluate → export → card."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from facevalue import files, machine, progress
from facevalue.calibration import calibrated, with_novelty
from facevalue.card import CARD, HISTORY, MANIFEST, ONNX, Card, DataFacts
from facevalue.classifier import Classifier, load
from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.pictures import Pictures, pictures
from facevalue.data.place import free_folder
from facevalue.errors import UsageError
from facevalue.evaluation import now
from facevalue.evidence import ExportReport
from facevalue.export import EXPORTERS
from facevalue.outputs import outputs_of
from facevalue.report import write_report
from facevalue.training.distillation import resolved
from facevalue.training.methods import Trained, checkpoint_beside, new_classifier, train_method
from facevalue.training.recipe import SHORT, Recipe, as_asked, read
from facevalue.training.settings import CalibrationSettings
from facevalue.workshop.asked_pictures import to_calibrate_on
from facevalue.workshop.once_more import finished
from facevalue.workshop.splitting import split_manifest

PARITY_PICTURES = 32
"""Pictures that an exported file is compared on."""


@dataclass(frozen=True)
class TrainResult:
    """A model folder, just made."""

    folder: Path
    card: Card

    def figures(self) -> dict[str, Any]:
        """What ``train --json`` writes."""
        card = self.card
        reports = {split: found.as_dict() for split in SPLITS if (found := card.report(split)) is not None}
        exported = [e.as_dict() for e in card.evidence if isinstance(e, ExportReport)]
        return {
            "model": str(self.folder),
            **reports,
            "parameters": card.network.parameters,
            "seconds": card.seconds,
            "seconds_per_epoch": card.seconds_per_epoch,
            "temperature": card.temperature,
            "threshold": card.threshold,
            "abstention": card.abstention.as_dict(),
            "network": card.network.name,
            "recipe": card.recipe,
            "classes": list(card.classes),
            "data": card.data.as_dict(),
            "exports": exported,
            "seed": card.seed,
        }


def train(
    data: Path | str,
    output: Path | str,
    *,
    recipe: str = "probe",
    groups: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    command: str = "",
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the same word as the command line's
    **settings: Any,
) -> TrainResult:
    """Make a model folder from pictures.

    Parameters
    ----------
    data : a folder with one sub-folder a class, one with ``train/`` and held-out folders, or a manifest.
    output : the model folder to be.
    recipe : ``probe``, ``finetune``, ``scratch``, another recipe's name, or a TOML file.
    groups : see :func:`facevalue.data.groups.with_groups`; by default the recipe's.
    seed : by default the recipe's, which is 0 unless it says another.
    resume : go on with a training that was stopped, from its last epoch.
    overwrite : replace a model folder that is there already.
    set : recipe settings by dotted key, ``{"augment.flip": True}``.
    settings : the settings with a short name: ``network``, ``weights``, ``epochs``, ``batch_size``, ``lr``, ``size``,
        ``optimizer``, ``positive``, ``adversarial``, ``eps``, ``teacher``, ``distill_temperature``.

    Raises
    ------
    UsageError
        A path, name or setting cannot be right; or ``output`` is taken.
    DataError
        The pictures cannot serve.
    WeightsError
        The weights cannot be had or do not fit.
    """
    start = time.perf_counter()
    unknown = sorted(settings.keys() - SHORT.keys())
    if unknown:
        raise UsageError(f"train has no setting {unknown[0]!r}; it knows {', '.join(SHORT)}, and the rest by set={{…}}")
    chosen = resolved(as_asked(recipe, seed=seed, set=set, **settings))
    if "eps" in settings and chosen.adversarial.method == "none":
        raise UsageError("eps is about adversarial training; say which with adversarial: pgd, fast, trades or free")
    if "distill_temperature" in settings and not chosen.distill.teacher:
        raise UsageError("distill_temperature is about learning from a teacher; name its model folder with teacher")
    output = free_place(Path(output), overwrite)
    machine.keep_memory()
    manifest = _prepared(Path(data), chosen, groups)
    for warning in manifest.warnings:
        progress.note(f"warning: {warning}")
    if manifest.unreadable:
        first = manifest.unreadable[0]
        more = len(manifest.unreadable) - 1
        progress.note(f"left out: {first['path']} {first['reason']}" + (f", and {more} more" if more else ""))
    checkpoint = checkpoint_beside(output, chosen, manifest.fingerprint())
    if not resume:
        checkpoint.clear()
    classifier = new_classifier(chosen, manifest.classes)
    splits = {s: pictures(manifest, classifier.card.geometry, manifest.classes, s) for s in SPLITS}
    try:
        trained = train_method(classifier, splits, chosen, checkpoint)
    except KeyboardInterrupt as error:
        if checkpoint.folder.exists():
            raise KeyboardInterrupt(f"{checkpoint.folder} holds what was learned; go on with --resume") from error
        raise
    classifier, reports = finished(_calibrated(trained, chosen), trained, splits, command)
    card = classifier.card.changed(
        data=data_facts_of(manifest), seconds_per_epoch=trained.seconds_per_epoch, command=command, created=now()
    )
    card = card.changed(versions=versions(), evidence=reports)
    with files.replacing_folder(output) as folder:
        card = write_folder(folder, classifier.changed(card), manifest, trained.history, splits, start)
    checkpoint.clear()
    return TrainResult(output, card)


def _prepared(data: Path, recipe: Recipe, groups: str | None) -> Manifest:
    manifest = split_manifest(data, recipe, groups)
    shortcut = find_shortcuts(manifest.readable).warning
    return manifest if shortcut is None else manifest.changed(warnings=(*manifest.warnings, shortcut))


def _calibrated(trained: Trained, recipe: Recipe) -> Classifier:
    settings = recipe.calibration
    return calibrated(
        with_novelty(trained.classifier, trained.outputs["train"]),
        trained.outputs["calibration"],
        target=settings.target,
        floor=settings.floor,
        quantile=settings.quantile,
    )


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
    splits: Mapping[str, Pictures],
    start: float,
) -> Card:
    """Fill an empty folder with a finished model: history, manifest, weights, graph with parity, card, report.

    Parameters
    ----------
    splits : ``test`` is what the parity of ``model.onnx`` is measured on.
    start : ``time.perf_counter()`` when the work began.
    """
    (folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in history), encoding="utf-8")
    # Absolute, so that the pictures are found again from elsewhere; no fingerprint knows of paths.
    manifest.changed(path=manifest.table["path"].map(os.path.abspath)).save(folder / MANIFEST)
    card = classifier.save(folder)
    exported = EXPORTERS["onnx"](classifier, folder / ONNX, splits["test"].some(PARITY_PICTURES))
    made = {name: files.sha256(folder / name) for name in (ONNX, HISTORY, MANIFEST)}
    card = card.changed(files={**card.files, **made}, seconds=time.perf_counter() - start).with_evidence(exported)
    card.save(folder)
    write_report(folder)
    return card


def calibrate(model: Path | str, data: Path | str, output: Path | str, *, command: str = "") -> Card:
    """A new model folder whose temperature and abstention limits are fitted on other pictures.

    Raises
    ------
    UsageError
        ``output`` is taken.
    DataError
        ``data`` lacks a class, or has one that the model does not know; or the model has learned from all of it.
    """
    folder, output = Path(model), free_place(Path(output), overwrite=False)
    classifier = load(folder)
    asked = to_calibrate_on(folder, classifier.card, Path(data))
    held_out = asked.pictures
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
        exported = EXPORTERS["onnx"](classifier.changed(card), partial / ONNX, held_out.some(PARITY_PICTURES))
        card = card.changed(files={**card.files, ONNX: files.sha256(partial / ONNX)}).with_evidence(exported)
        card.save(partial)
        write_report(partial)
    return card


def free_place(output: Path, overwrite: bool) -> Path:
    """The place of a model folder to be, after asking that it is free, or a model that may be replaced."""
    free_folder(output, CARD, "a model folder", overwrite)
    return output
