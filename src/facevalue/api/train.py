"""``train``: scan, split, fit, calibrate, evaluate, export."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from facevalue.api.common.model_folder import data_facts_of, free_place, provenance_of, save
from facevalue.api.compare import Comparison, compare
from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data
from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.evaluation.calibration import calibrated, with_novelty
from facevalue.evaluation.calibration_report import calibration_report
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evidence.card import CARD
from facevalue.evidence.findings import say
from facevalue.evidence.provenance import current_command, recorded
from facevalue.evidence.records import Evaluation
from facevalue.models.classifier import Classifier, load
from facevalue.models.origin import Origin
from facevalue.support import files, progress
from facevalue.support.output_folder import free_folder
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.distillation import resolved
from facevalue.training.methods import Trained, checkpoint_beside, identity, new_classifier, train_method
from facevalue.training.recipe import Recipe, Setting, configured
from facevalue.training.refit import finished
from facevalue.training.split_data import split_manifest
from facevalue.training.studies import check_same_study

_SHOWN_WARNINGS = 5  # warnings about the test figures to show; with many classes there can be hundreds


@recorded
def train(
    data: Data,
    output: Path | str | None = None,
    *,
    recipe: str = "probe",
    groups: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    network: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    positive: str | None = None,
    adversarial: str | None = None,
    eps: float | None = None,
    teacher: Path | str | None = None,
    distill_temperature: float | None = None,
    max_error: float | None = None,
    max_false_positive: float | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> Classifier:
    """Train a classifier on labelled images: split, train, calibrate, evaluate.

    Parameters
    ----------
    data : a folder with one sub-folder per class, one with ``train/`` and held-out folders, a manifest file, a table
        with ``path`` and ``label``, or an :class:`~facevalue.ImageDataset`.
    output : the model folder to create; ``None`` keeps the classifier in memory (``classifier.save`` writes it later).
    recipe : ``probe``, ``finetune``, ``scratch``, another recipe's name, or a TOML file.
    groups : images that must stay in one split, see :func:`facevalue.data.groups.with_groups`; by default the recipe's.
    seed : by default the recipe's, which is 0 unless set.
    resume : continue an interrupted training after its last complete epoch.
    overwrite : replace an existing model folder.
    network, weights, size, epochs, batch_size, lr, optimizer, positive, adversarial, eps, teacher,
    distill_temperature : recipe settings.
    max_error, max_false_positive : what the model promises of its answers, see
        :class:`~facevalue.training.settings.CalibrationSettings`.
    settings : other recipe settings by dotted key: ``{"augment.flip": True}``.

    Returns
    -------
    The classifier in eval mode on the CPU; its card holds the evaluation on every split.

    Raises
    ------
    UsageError
        A path, name or setting is invalid, or ``output`` exists already.
        DataError
            The images cannot be used.
        WeightsError
            The weights cannot be loaded or do not fit.
    """
    start = time.perf_counter()
    asked: dict[str, Setting | None] = {
        "network": network,
        "weights": weights,
        "size": size,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "positive": positive,
        "adversarial": adversarial,
        "eps": eps,
        "teacher": None if teacher is None else str(teacher),
        "distill_temperature": distill_temperature,
        "max_error": max_error,
        "max_false_positive": max_false_positive,
    }
    chosen = resolved(configured(recipe, seed=seed, named=asked, settings=settings))
    if eps is not None and chosen.adversarial.method == "none":
        raise UsageError("`eps` needs adversarial training; choose it with `adversarial`: pgd, fast, trades or free")
    if distill_temperature is not None and not chosen.distill.teacher:
        raise UsageError("`distill_temperature` needs a teacher; name its model folder with `teacher`")
    if output is None and resume:
        raise UsageError("`resume` continues the training whose checkpoint is beside `output`; name that `output`")
    folder = None if output is None else free_place(Path(output), overwrite)
    manifest = _prepared(data, chosen, groups)
    say(manifest.warnings)
    if manifest.unreadable:
        first = manifest.unreadable[0]
        more = len(manifest.unreadable) - 1
        progress.note(f"left out: {first['path']} {first['reason']}" + (f", and {more} more" if more else ""))
    with _checkpoint(folder, chosen, manifest, resume) as checkpoint:
        classes = _class_order(data, manifest)
        chosen.calibration.choices().methods(len(classes))  # wrong use is told before the work
        classifier = new_classifier(chosen, classes)
        splits = {s: dataset_of(manifest, classifier.card.preprocessing, classes, s) for s in SPLITS}
        trained = train_method(classifier, splits, chosen, checkpoint)
        assert trained.calibration is not None
        fitted = _calibrated(trained, trained.calibration, chosen)
        calibration = calibration_report(fitted, trained.calibration, splits["calibration"])
        say(calibration.warnings)
        classifier, reports = finished(fitted, trained, splits)
        _show_findings(reports[-1])
        card = classifier.card.changed(
            data=data_facts_of(manifest),
            seconds_per_epoch=trained.seconds_per_epoch,
            provenance=provenance_of(manifest, start, chosen.seed),
            evidence=(*reports, calibration),
        )
        classifier = classifier.changed(card, origin=Origin(manifest, tuple(trained.history)))
        if folder is None:
            return classifier
        save(classifier, folder, overwrite=overwrite, parity=splits["test"], start=start)
        checkpoint.clear()
    return load(folder)


def _class_order(data: Data, manifest: Manifest) -> tuple[str, ...]:
    """A dataset's own order of classes; for files the alphabetical order."""
    if not isinstance(data, ImageDataset):
        return manifest.classes
    absent = [label for label in data.classes if label not in manifest.classes]
    if absent:
        raise DataError(f"class {absent[0]!r} has no readable image in {manifest.source}")
    return data.classes


def _show_findings(test: Evaluation) -> None:
    """Show the first warnings about the test figures; the card has all."""
    say(test.warnings[:_SHOWN_WARNINGS])
    if len(test.warnings) > _SHOWN_WARNINGS:
        progress.note(f"{len(test.warnings) - _SHOWN_WARNINGS} more warnings of the test figures are on the card")


@contextmanager
def _checkpoint(folder: Path | None, recipe: Recipe, manifest: Manifest, resume: bool) -> Iterator[Checkpoint]:
    """The checkpoint of an unfinished training: beside the model folder, or in a temporary folder."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="facevalue-") as place:
            yield Checkpoint(Path(place) / "training", identity(recipe, manifest.fingerprint()))
        return
    checkpoint = checkpoint_beside(folder, recipe, manifest.fingerprint())
    if not resume:
        checkpoint.clear()
    try:
        yield checkpoint
    except KeyboardInterrupt as error:
        if checkpoint.folder.exists():
            raise KeyboardInterrupt(f"progress is saved in {checkpoint.folder}; continue with `resume`") from error
        raise


def _prepared(data: Data, recipe: Recipe, groups: str | None) -> Manifest:
    manifest = split_manifest(data, recipe, groups)
    shortcut = find_shortcuts(manifest.readable).warning
    return manifest if shortcut is None else manifest.changed(warnings=(*manifest.warnings, shortcut))


def _calibrated(trained: Trained, held_out: CalibrationSet, recipe: Recipe) -> Classifier:
    classifier = with_novelty(trained.classifier, trained.features["train"])
    return calibrated(classifier, held_out, recipe.calibration.choices())


STUDY, CURVES = "sizes.json", "curves.png"


@recorded
def train_sizes(
    data: Data,
    output: Path | str,
    sizes: Sequence[int],
    *,
    recipe: str = "probe",
    groups: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> Comparison:
    """Train one model folder per input size in ``output``, then compare the models.

    ``output`` holds the folders (``150``, ``300``), ``sizes.json`` with the rows, and ``curves.png``.

    Parameters
    ----------
    data, recipe, groups, seed, overwrite, settings : as for :func:`train`; the same for every model.
    sizes : sides of the network input in pixels, all different.
    resume : continue an interrupted study: keep its finished models and resume the current one.

    Raises
    ------
    UsageError
        A setting is invalid, ``output`` exists already, or it has a study with other settings.
    """
    if len(set(sizes)) < len(sizes) or not sizes:
        raise UsageError(f"expected sizes that are all different, but got {', '.join(map(str, sizes))}")
    folder = Path(output)
    # The recipe's contents, not its name: a recipe file may change before the study is resumed.
    whole = configured(recipe, seed=seed, settings=settings)
    asked = {"data": str(data), "sizes": list(sizes), "groups": groups, "recipe": whole.to_dict()}
    begun = (folder / STUDY).is_file()
    if resume and begun:
        check_same_study(folder / STUDY, asked)
    else:
        free_folder(folder, STUDY, "a study of sizes", overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / STUDY, asked)
    models = [folder / str(size) for size in sizes]
    for size, model in zip(sizes, models, strict=True):
        if resume and (model / CARD).is_file():
            progress.note(f"{model} is finished already")
            continue
        progress.note(f"{size} pixels")
        try:
            train(
                data,
                model,
                recipe=recipe,
                groups=groups,
                seed=seed,
                size=size,
                resume=resume,
                overwrite=overwrite,
                settings=settings,
            )
        except FaceValueError:
            if not begun and [*folder.iterdir()] == [folder / STUDY]:  # no model was made: remove the folder again
                (folder / STUDY).unlink()
                folder.rmdir()
            raise
    compared = compare(models, plot=folder / CURVES)
    files.write_json(folder / STUDY, {**asked, "command": current_command(), "models": compared.to_dict()["models"]})
    return compared
