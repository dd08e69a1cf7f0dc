"""``train``: scan, split, fit, calibrate, evaluate, export."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from facevalue.api.common.model_folder import claimed, data_facts_of, expect_other, provenance_of, save
from facevalue.api.common.stable_answers import with_stable_answers
from facevalue.api.compare import Comparison, compare
from facevalue.data.audit.processing import find_processing
from facevalue.data.audit.shortcuts import find_shortcuts
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import found_in_training, with_faces
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data
from facevalue.data.strangers import folders_of
from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.evaluation.calibration_report import calibration_report
from facevalue.evidence.card import CARD, ModelCard, NetworkFacts
from facevalue.evidence.findings import Finding, say
from facevalue.evidence.policy import check_policy
from facevalue.evidence.policy.registering import register
from facevalue.evidence.provenance import current_command, recorded
from facevalue.evidence.records import Evaluation
from facevalue.evidence.registered import RegisteredPolicy
from facevalue.models.classifier import Classifier, load
from facevalue.models.origin import Origin
from facevalue.support import files, progress
from facevalue.support.output_folder import free_folder, locked, resumable
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.distillation import resolved
from facevalue.training.methods import checkpoint_beside, expect_loop, follow, identity, new_classifier, train_method
from facevalue.training.processes import Processes, expect_alone
from facevalue.training.recipe import Recipe, Setting, configured
from facevalue.training.refit import finished
from facevalue.training.source_controls import controls_of_training
from facevalue.training.split_data import split_manifest
from facevalue.training.strangers import StrangerSplit
from facevalue.training.studies import check_same_study, study_of

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
    fresh: bool = False,
    overwrite: bool = False,
    strict: bool = False,
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
    strangers: Path | str | Sequence[Path | str] = (),
    gate: str | None = None,
    gate_model: Path | str | None = None,
    max_error: float | None = None,
    max_false_positive: float | None = None,
    stable: int | None = None,
    policy: Path | str | None = None,
    device: str | None = None,
    compile: bool | None = None,  # noqa: A002 - torch's name for it
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
    resume : say so if there is no interrupted training to continue. One with the same settings and images is continued
        anyway, after its last complete epoch.
    fresh : remove an interrupted training and start over.
    overwrite : replace an existing model folder.
    strict : do not train if there is a warning about the images.
    network, weights, size, epochs, batch_size, lr, optimizer, positive, adversarial, eps, teacher,
    distill_temperature, gate, gate_model, stable, device, compile : recipe settings.
    strangers : folders of images that the model must refuse, such as cats and dogs for a model of horses and humans.
        Novelty is fitted with most of them and tested on the others. Drawn images are always used too.
    max_error, max_false_positive : what the model promises of its answers, see
        :class:`~facevalue.training.settings.CalibrationSettings`.
    policy : a policy file, see :func:`facevalue.check`. It is registered on the card before the test images are looked
        at. The model is written whether it meets the policy or not.
    settings : other recipe settings by dotted key: ``{"augment.flip": True}``.

    Returns
    -------
    The classifier in eval mode on the CPU; its card holds the evaluation on every split.

    Raises
    ------
    UsageError
        A path, name or setting is invalid, ``output`` exists already, or beside it is an interrupted training with
        other settings or images.
    FaceValueError
        Another process is writing ``output``.
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
        "gate": gate,
        "stable": stable,
        "device": device,
        "compile": compile,
        "gate_model": None if gate_model is None else str(gate_model),
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
    looking = chosen.gate.opened()  # before the long work: the face detector may be missing
    processes = Processes.here()
    if processes.count > 1:
        expect_loop(chosen)  # before the images are read
        if output is None:
            raise UsageError("several processes train one model folder; name it with `output`")
    # Only the leading process writes and reports, so only it claims the folder.
    registered = None if policy is None else _registered(Path(policy), chosen)
    heard = nullcontext() if processes.leads else progress.using(progress.Silent())
    with heard, claimed(output if processes.leads else None, overwrite) as folder:
        expect_other(folder, Path(chosen.distill.teacher) if chosen.distill.teacher else None)
        manifest = _prepared(data, chosen, groups)
        if looking is not None:
            manifest = with_faces(manifest, looking)
            manifest = manifest.changed(warnings=(*manifest.warnings, *found_in_training(manifest)))
        _expect_none(manifest.warnings, strict)
        say(manifest.warnings)
        if manifest.unreadable:
            first = manifest.unreadable[0]
            more = len(manifest.unreadable) - 1
            progress.note(f"left out: {first['path']} {first['reason']}" + (f", and {more} more" if more else ""))
        classes = _class_order(data, manifest)
        chosen.calibration.choices().methods(len(classes))  # wrong use is told before the work
        classifier = new_classifier(chosen, classes)
        run = identity(chosen, manifest.fingerprint(), classifier.card.network.weights_sha256)
        if not processes.leads:
            assert output is not None
            splits = {s: dataset_of(manifest, classifier.card.preprocessing, classes, s) for s in SPLITS}
            follow(classifier, splits, chosen, checkpoint_beside(Path(output), run))
            processes.wait()
            return load(output)
        with _checkpoint(folder, run) as checkpoint:
            checkpoint.begin(resume=resume, fresh=fresh)
            splits = {s: dataset_of(manifest, classifier.card.preprocessing, classes, s) for s in SPLITS}
            refused = StrangerSplit.of(folders_of(strangers), classifier.card.preprocessing, manifest)
            trained = train_method(classifier, splits, chosen, checkpoint)
            assert trained.calibration is not None
            by_source = controls_of_training(manifest, splits, trained, chosen)
            say(by_source.findings)
            _expect_none([one for one in by_source.findings if one.severity != "info"], strict)
            fitted = refused.calibrated(
                trained.classifier,
                splits["train"],
                trained.features["train"],
                trained.calibration,
                chosen,
                trained.extractor,
            )
            calibration = calibration_report(fitted, trained.calibration, splits["calibration"])
            say(calibration.warnings)
            fitted, unsure = with_stable_answers(fitted, splits["calibration"], trained.calibration, chosen.calibration)
            classifier, evaluations = finished(fitted, trained, splits, refused)
            _show_findings(evaluations[-1].report)
            on_strangers = refused.report(
                classifier, splits["test"], trained.last_features["test"], trained.last_extractor
            )
            say(on_strangers.warnings)
            facts = data_facts_of(manifest)
            card = classifier.card.changed(
                data=facts.changed(warnings=(*facts.warnings, *unsure)),
                policy=registered,
                seconds_per_epoch=trained.seconds_per_epoch,
                features_by=trained.last_extractor.computed_by,
                provenance=provenance_of(manifest, start, chosen.seed),
                evidence=(
                    *(each.report for each in evaluations),
                    calibration,
                    on_strangers,
                    *([by_source.report] if by_source.report else []),
                ),
            )
            classifier = classifier.changed(
                card,
                origin=Origin(manifest, tuple(trained.history), tuple(each.outputs for each in evaluations)),
            )
            if folder is None:
                return classifier
            del trained, fitted  # the export takes the most memory, and does not need them
            save(classifier, folder, overwrite=overwrite, parity=splits["test"], start=start)
            checkpoint.clear()
        processes.wait()
        return load(folder)


def _registered(policy: Path, recipe: Recipe) -> RegisteredPolicy:
    """The policy, registered now; a wrong key is told before the images are read."""
    network = NetworkFacts(name=recipe.network.name)
    check_policy(ModelCard(classes=("a", "b"), preprocessing=recipe.preprocessing(), network=network), policy)
    return register(policy)


def _expect_none(warnings: Sequence[Finding], strict: bool) -> None:
    """Raise ``DataError`` if ``strict`` and there is a warning about the images."""
    if strict and warnings:
        more = len(warnings) - 1
        first = str(warnings[0]) + (f"; and {more} more" if more else "")
        raise DataError(f"with `strict`, images with a warning are not trained on: {first}")


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
def _checkpoint(folder: Path | None, run: Mapping[str, Any]) -> Iterator[Checkpoint]:
    """The checkpoint of this run: beside the model folder, or in a temporary folder."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="facevalue-") as place:
            yield Checkpoint(Path(place) / "training", run)
        return
    checkpoint = checkpoint_beside(folder, run)
    with resumable(checkpoint.folder):
        yield checkpoint


def _prepared(data: Data, recipe: Recipe, groups: str | None) -> Manifest:
    manifest = split_manifest(data, recipe, groups)
    shortcut = find_shortcuts(manifest.readable).warning
    found = [*([] if shortcut is None else [shortcut]), *find_processing(manifest).warnings]
    return manifest.changed(warnings=(*manifest.warnings, *found)) if found else manifest


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
    fresh: bool = False,
    overwrite: bool = False,
    strangers: Path | str | Sequence[Path | str] = (),
    strict: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> Comparison:
    """Train one model folder per input size in ``output``, then compare the models.

    ``output`` holds the folders (``150``, ``300``), ``sizes.json`` with the rows, and ``curves.png``. An interrupted
    study with the same settings is continued: its finished models stay.

    Parameters
    ----------
    data, recipe, groups, seed, overwrite, strict, strangers, settings : as for :func:`train`; the same for every model.
    sizes : sides of the network input in pixels, all different.
    resume : compare again if the study is finished.
    fresh : remove an interrupted study and start over.

    Raises
    ------
    UsageError
        A setting is invalid, ``output`` exists already, or it has a study with other settings.
    """
    if len(set(sizes)) < len(sizes) or not sizes:
        raise UsageError(f"expected sizes that are all different, but got {', '.join(map(str, sizes))}")
    expect_alone("a study of sizes")
    folder = Path(output)
    # The recipe's contents, not its name: a recipe file may change before the study is resumed.
    whole = configured(recipe, seed=seed, settings=settings)
    asked = {"data": str(data), "sizes": list(sizes), "groups": groups, "recipe": whole.to_dict()}
    with locked(folder), resumable(folder):
        done = _finished_sizes(folder, asked, resume=resume, fresh=fresh, overwrite=overwrite)
        new = not done
        for size in sizes:
            model = folder / str(size)
            if size in done and (model / CARD).is_file():
                progress.note(f"{model} is finished already")
                continue
            progress.note(f"{size} pixels")
            try:
                # What this study has not finished is its own to replace.
                with progress.within(f"{size} pixels"):
                    train(
                        data,
                        model,
                        recipe=recipe,
                        groups=groups,
                        seed=seed,
                        size=size,
                        overwrite=True,
                        strangers=strangers,
                        strict=strict,
                        settings=settings,
                    )
            except FaceValueError:
                if new and [*folder.iterdir()] == [folder / STUDY]:  # no model was made: remove the folder again
                    (folder / STUDY).unlink()
                    folder.rmdir()
                raise
            done = [*done, size]
            files.write_json(folder / STUDY, {**asked, "finished": done})
        compared = compare([folder / str(size) for size in sizes], plot=folder / CURVES)
        rows = compared.to_dict()["models"]
        files.write_json(folder / STUDY, {**asked, "finished": done, "command": current_command(), "models": rows})
    return compared


def _finished_sizes(folder: Path, asked: Mapping[str, Any], *, resume: bool, fresh: bool, overwrite: bool) -> list[int]:
    """The sizes that an interrupted study has finished; begins a new study if there is none to go on with."""
    before = study_of(folder / STUDY)
    unfinished = before is not None and "models" not in before
    if before is not None and not fresh and (resume or unfinished):
        check_same_study(folder / STUDY, asked)
        progress.note(f"going on with the study in {folder}" + ("; `fresh` would start over" if unfinished else ""))
        return list(before.get("finished", asked["sizes"] if "models" in before else ()))
    if fresh and unfinished:
        shutil.rmtree(folder)
    free_folder(folder, STUDY, "a study of sizes", overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / STUDY, asked)
    return []
