"""``train``: scan, split, fit, calibrate, evaluate, export."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevalue.api.common.model_folder import data_facts_of, free_place, versions, write_folder
from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.dataset import dataset_of
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.errors import UsageError
from facevalue.evaluation.calibration import calibrated, with_novelty
from facevalue.evaluation.evaluate import now
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import ExportReport
from facevalue.models.classifier import Classifier
from facevalue.support import files, machine, progress
from facevalue.training.distillation import resolved
from facevalue.training.methods import Trained, checkpoint_beside, new_classifier, train_method
from facevalue.training.recipe import SHORT, Recipe, as_asked
from facevalue.training.refit import finished
from facevalue.training.split_data import split_manifest


@dataclass(frozen=True)
class TrainResult:
    """A model folder, just made."""

    folder: Path
    card: ModelCard

    def figures(self) -> dict[str, Any]:
        """What ``train --json`` writes."""
        card = self.card
        reports = {split: found.to_dict() for split in SPLITS if (found := card.report(split)) is not None}
        exported = [e.to_dict() for e in card.evidence if isinstance(e, ExportReport)]
        return {
            "model": str(self.folder),
            **reports,
            "parameters": card.network.parameters,
            "seconds": card.seconds,
            "seconds_per_epoch": card.seconds_per_epoch,
            "temperature": card.temperature,
            "threshold": card.threshold,
            "abstention": card.abstention.to_dict(),
            "network": card.network.name,
            "recipe": card.recipe,
            "classes": list(card.classes),
            "data": card.data.to_dict(),
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
    """Make a model folder from images.

    Parameters
    ----------
    data : a folder with one sub-folder per class, one with ``train/`` and held-out folders, or a manifest.
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
        The images cannot serve.
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
    splits = {s: dataset_of(manifest, classifier.card.preprocessing, manifest.classes, s) for s in SPLITS}
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
