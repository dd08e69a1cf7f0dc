"""The verbs in Python, with the same words as the command line.

``train`` is scan → split → fit → calibrate → evaluate → export → card.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from facevalue import files, machine, plots, progress
from facevalue.attacks.campaign import attack_pictures
from facevalue.calibration import calibrated, with_novelty
from facevalue.card import CARD, HISTORY, MANIFEST, ONNX, AttackReport, Card, DataFacts, Evidence, ExportReport, Report
from facevalue.classifier import Classifier, load
from facevalue.data.embedded import write_lfw_subset
from facevalue.data.groups import with_groups
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.pictures import Pictures, pictures
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError, UsageError
from facevalue.evaluation import evaluate_pictures, now
from facevalue.explanations import explain_files
from facevalue.export import EXPORTERS
from facevalue.outputs import outputs_of
from facevalue.policy import check_policy
from facevalue.report import write_report
from facevalue.runtime.predictor import open_folder
from facevalue.training.methods import Trained, checkpoint_beside, new_classifier, train_method
from facevalue.training.recipe import SHORT, Recipe, read
from facevalue.verdict import Verdict

PARITY_PICTURES = 32


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
    seed: int = 0,
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
    groups : see :func:`facevalue.data.groups.with_groups`.
    resume : go on with a training that was stopped, from its last epoch.
    overwrite : replace a model folder that is there already.
    set : recipe settings by dotted key, ``{"augment.flip": True}``.
    settings : the settings with a short name: ``network``, ``weights``, ``epochs``, ``batch_size``, ``lr``, ``size``,
        ``optimizer``, ``positive``.

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
    chosen = read(recipe, {SHORT[k]: v for k, v in settings.items()} | dict(set or {}))
    output = _free_place(Path(output), overwrite)
    machine.keep_memory()
    manifest = _prepared(Path(data), chosen, groups, seed)
    for warning in manifest.warnings:
        progress.note(f"warning: {warning}")
    if manifest.unreadable:
        first = manifest.unreadable[0]
        more = len(manifest.unreadable) - 1
        progress.note(f"left out: {first['path']} {first['reason']}" + (f", and {more} more" if more else ""))
    checkpoint = checkpoint_beside(output, chosen, manifest.fingerprint(), seed)
    if not resume:
        checkpoint.clear()
    classifier = new_classifier(chosen, manifest.classes, seed)
    splits = {s: pictures(manifest, classifier.card.geometry, manifest.classes, s) for s in SPLITS}
    try:
        trained = train_method(classifier, splits, chosen, seed, checkpoint)
    except KeyboardInterrupt as error:
        if checkpoint.folder.exists():
            raise KeyboardInterrupt(f"{checkpoint.folder} holds what was learned; go on with --resume") from error
        raise
    classifier = _calibrated(trained, chosen)
    reports = [
        evaluate_pictures(classifier, splits[s], outputs=trained.outputs[s], command=command) for s in reversed(SPLITS)
    ]
    card = classifier.card.changed(
        data=_facts(manifest), seconds_per_epoch=trained.seconds_per_epoch, command=command, created=now()
    )
    card = card.changed(versions=_versions(), evidence=tuple(reversed(reports)))
    with files.replacing_folder(output) as folder:
        card = _write_folder(folder, classifier.changed(card), manifest, trained.history, splits, start)
    checkpoint.clear()
    return TrainResult(output, card)


def _free_place(output: Path, overwrite: bool) -> Path:
    if files.as_text(str(output)) != str(output):
        raise UsageError(f"{files.as_text(str(output))} is not UTF-8; choose another name with -o")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        if not (output / CARD).is_file():
            raise UsageError(f"{output} is there and is not a model folder; choose another place with -o")
        if not overwrite:
            raise UsageError(f"{output} holds a model already; choose another place with -o, or give --overwrite")
    # A folder is replaced whole, which neither a mounted one nor the one that the user stands in survives.
    if output.is_mount() or output.resolve() == Path.cwd():
        raise UsageError(f"{output} cannot be replaced where it is; choose a folder inside it with -o")
    files.ask_writable(output.resolve())
    return output


def _prepared(data: Path, recipe: Recipe, groups: str | None, seed: int) -> Manifest:
    split = recipe.split
    manifest = with_groups(scan(data), groups, split.near if split.near >= 0 else None)
    shares = {"validation": split.validation, "calibration": split.calibration, "test": split.test}
    return with_splits(manifest, shares, seed)


def _calibrated(trained: Trained, recipe: Recipe) -> Classifier:
    settings = recipe.calibration
    return calibrated(
        with_novelty(trained.classifier, trained.outputs["train"]),
        trained.outputs["calibration"],
        target=settings.target,
        floor=settings.floor,
        quantile=settings.quantile,
    )


def _facts(manifest: Manifest) -> DataFacts:
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


def _versions() -> dict[str, str]:
    import platform

    names = ("facevalue", "torch", "timm", "onnx", "onnxruntime", "numpy", "pillow", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _write_folder(
    folder: Path,
    classifier: Classifier,
    manifest: Manifest,
    history: Sequence[Mapping[str, Any]],
    splits: Mapping[str, Pictures],
    start: float,
) -> Card:
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


def evaluate(
    model: Path | str, data: Path | str, *, split: str | None = None, save: bool = True, command: str = ""
) -> Report:
    """Every figure of a model on pictures with known labels, kept on its card.

    Parameters
    ----------
    data : a folder a class, a folder of splits (its test pictures are taken), or a manifest. Classes are matched by
        name; a folder may lack some.
    split : take these pictures instead. Where ``data`` brings no splits, those that the model was made with.
    save : keep the report on the model's card.

    Raises
    ------
    DataError
        ``data`` has a class that the model does not know, or nothing to evaluate on.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        _ask_kept(folder)
    chosen, warnings = _labelled(folder, classifier, Path(data), split)
    machine.keep_memory()
    report = evaluate_pictures(classifier, chosen, command=command)
    report = report.changed(warnings=(*warnings, *report.warnings))
    if save:
        _keep(folder, report)
    return report


def _labelled(
    folder: Path, classifier: Classifier, data: Path, split: str | None = None, own_split: str = "test"
) -> tuple[Pictures, tuple[str, ...]]:
    """Pictures of ``data`` for a model, and what should be known of them: were they trained on?"""
    if split not in (None, "all", *SPLITS):
        raise UsageError(f"expected split to be all or one of {', '.join(SPLITS)}, but got {split!r}")
    manifest = scan(data)
    own = pd.read_parquet(classifier.card.checked_file(folder, MANIFEST))
    part = manifest.table["sha256"].map(dict(zip(own["sha256"], own["split"], strict=True))).fillna("")
    given = set(manifest.readable["split"]) - {""}
    familiar = set(manifest.readable["sha256"]) == set(own["sha256"][own["split"] != ""])
    if given and split is None:
        held_out = given - {"train"}
        split = "test" if "test" in held_out or not held_out else sorted(held_out)[0]
    elif not given and (familiar if split is None else split != "all"):
        # The folder that the model was made from: by default the part of it that was kept for this.
        split = split or own_split
        manifest = manifest.changed(split=part)
        progress.note(f"{data} is what the model was made from: taking its {split} pictures")
    wanted = [split] if split not in (None, "all") else []
    same = bool(wanted) and manifest.fingerprint(*wanted) == Manifest(own, "").fingerprint(*wanted)
    chosen = pictures(
        manifest,
        classifier.card.geometry,
        classifier.card.classes,
        *wanted,
        name=wanted[0] if same else _folder_name(data),
    )
    seen = int(part[manifest.rows(*wanted).index].isin(["train", "validation", "calibration"]).sum())
    warnings = manifest.warnings
    if seen and split not in ("train", "validation", "calibration"):
        warnings = (*warnings, f"{seen} of {len(chosen)} pictures took part in making the model")
    return chosen, warnings


def _folder_name(data: Path) -> str:
    """What a report on other pictures is called: never as a split of the model's own."""
    whole = data.resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in SPLITS else whole.name


def _ask_kept(folder: Path) -> None:
    try:
        files.ask_writable(folder / CARD)
    except UsageError as error:
        raise UsageError(f"{error}, so the figures cannot be kept there; --no-save only shows them") from error


def _keep(folder: Path, *evidence: Evidence) -> None:
    """Put evidence on the card, in place of what was found the same way before, and draw the report anew."""
    card = Card.load(folder)
    kept = [old for old in card.evidence if not any(_same(old, new) for new in evidence)]
    card.changed(evidence=(*kept, *evidence)).save(folder)
    write_report(folder)


def _same(old: Evidence, new: Evidence) -> bool:
    if isinstance(old, Report) and isinstance(new, Report):
        return (old.split, old.fingerprint) == (new.split, new.fingerprint)
    if isinstance(old, AttackReport) and isinstance(new, AttackReport):
        asked = [(r.attack, r.norm, r.eps) for r in old.results] == [(r.attack, r.norm, r.eps) for r in new.results]
        return asked and old.fingerprint == new.fingerprint
    if isinstance(old, ExportReport) and isinstance(new, ExportReport):
        return (old.target, old.path) == (new.target, new.path)
    return False


def predict(model: Path | str, inputs: Sequence[Path | str], *, heat: bool = False) -> Iterator[Verdict]:
    """Verdicts on files and folders, in order; :func:`facevalue.open` is the same without torch."""
    return open_folder(Path(model)).predict([Path(p) for p in inputs], heat=heat)


def calibrate(model: Path | str, data: Path | str, output: Path | str, *, command: str = "") -> Card:
    """A new model folder whose temperature and abstention limits are fitted on other pictures.

    Raises
    ------
    UsageError
        ``output`` is taken.
    DataError
        ``data`` lacks a class, or has one that the model does not know.
    """
    folder, output = Path(model), _free_place(Path(output), overwrite=False)
    classifier = load(folder)
    held_out, warnings = _labelled(folder, classifier, Path(data), own_split="calibration")
    machine.keep_memory()
    recipe = read("probe").calibration
    classifier = calibrated(
        classifier, outputs_of(classifier, held_out), target=recipe.target, floor=recipe.floor, quantile=recipe.quantile
    )
    # Evidence of the old temperature says nothing of the new one.
    data_facts = classifier.card.data.changed(warnings=(*classifier.card.data.warnings, *warnings))
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


def compare(models: Sequence[Path | str], *, plot: Path | str | None = None) -> list[dict[str, Any]]:
    """One row a model: accuracies by split, their gap, size, speed and calibration error.

    Parameters
    ----------
    plot : a PNG of the training curves, side by side.
    """
    if not models:
        raise UsageError("compare needs at least one model folder")
    rows, curves = [], {}
    for model in models:
        folder = Path(model)
        card = Card.load(folder)
        accuracy = {s: found.accuracy if (found := card.report(s)) else None for s in SPLITS}
        test = card.report("test")
        train_accuracy, test_accuracy = accuracy["train"], accuracy["test"]
        gap = None if train_accuracy is None or test_accuracy is None else train_accuracy - test_accuracy
        rows.append(
            {
                "model": str(model),
                "network": card.network.name,
                "method": card.recipe.get("method"),
                "train_accuracy": train_accuracy,
                "validation_accuracy": accuracy["validation"],
                "test_accuracy": test_accuracy,
                "test_accuracy_ci": test.accuracy_ci if test else None,
                "gap": gap,
                "parameters": card.network.parameters,
                "seconds_per_epoch": card.seconds_per_epoch,
                "ece": test.ece if test else None,
                "coverage": test.coverage if test else None,
            }
        )
        lines = card.checked_file(folder, HISTORY).read_text(encoding="utf-8").splitlines()
        curves[str(model)] = [json.loads(line) for line in lines]
    if plot is not None:
        plots.save_png(plots.compare_curves(curves), Path(plot))
    return rows


def attack(
    model: Path | str,
    data: Path | str,
    *,
    attacks: Sequence[str] = ("fgsm",),
    norm: str = "linf",
    eps: Sequence[float] = (1 / 255, 2 / 255, 4 / 255, 8 / 255),
    limit: int | None = None,
    seed: int = 0,
    plot: Path | str | None = None,
    sheet: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> AttackReport:
    """What is left of the accuracy when someone pushes back.

    Parameters
    ----------
    eps : distances in [0, 1] units of the network's square.
    limit : attack at most this many pictures, drawn evenly from the classes.
    plot : a PNG of accuracy against eps.
    sheet : a PNG of originals, perturbations and adversarial pictures.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        _ask_kept(folder)
    chosen, warnings = _labelled(folder, classifier, Path(data))
    machine.keep_memory()
    chosen = chosen.some(limit, seed) if limit is not None else chosen
    report, examples = attack_pictures(classifier, chosen, attacks, norm, eps, seed=seed)
    report = report.changed(
        warnings=(*warnings, *report.warnings),
        fingerprint=chosen.fingerprint,
        source=chosen.source,
        command=command,
        created=now(),
    )
    if plot is not None:
        plots.save_png(plots.accuracy_against_eps(report), Path(plot))
    if sheet is not None:
        from facevalue.attacks.sheet import draw_sheet

        draw_sheet(examples, Path(sheet))
    if save:
        _keep(folder, report)
    return report


def explain(
    model: Path | str, images: Sequence[Path | str], output: Path | str, *, method: str = "gradcam"
) -> dict[str, Any]:
    """Pictures of what the model looked at; returns the files written and how faithful they are."""
    return explain_files(load(Path(model)), [Path(p) for p in images], Path(output), method)


def export(
    model: Path | str,
    output: Path | str,
    *,
    to: str = "onnx",
    pictures: Path | str | None = None,
    command: str = "",
) -> ExportReport:
    """Another file format that answers as the model does; refused where it does not.

    Parameters
    ----------
    pictures : a folder or manifest to measure the parity on; by default the model's own test pictures, where they
        still are.
    """
    if to not in EXPORTERS:
        raise UsageError(f"expected --to to be one of {', '.join(EXPORTERS)}, but got {to!r}")
    folder = Path(model)
    classifier = load(folder)
    report = EXPORTERS[to](classifier, Path(output), _parity_pictures(folder, classifier, pictures))
    return report.changed(command=command)


def _parity_pictures(folder: Path, classifier: Classifier, given: Path | str | None) -> Pictures:
    if given is not None:
        return _labelled(folder, classifier, Path(given))[0].some(4 * PARITY_PICTURES)
    table = pd.read_parquet(classifier.card.checked_file(folder, MANIFEST))
    there = table[(table["split"] == "test") & table["path"].map(lambda p: Path(p).is_file())]
    if there.empty:
        raise DataError(f"the test pictures of {folder} are no longer where they were; give others with --pictures DIR")
    manifest = Manifest(there, source=classifier.card.data.source)
    return pictures(manifest, classifier.card.geometry, classifier.card.classes, "test").some(4 * PARITY_PICTURES)


def report(model: Path | str, output: Path | str | None = None) -> Path:
    """The model's card as one self-contained page; returns where it is."""
    return write_report(Path(model), None if output is None else Path(output))


def check(model: Path | str, policy: Path | str) -> dict[str, Any]:
    """Whether a model meets the figures that a policy file requires."""
    return check_policy(Card.load(Path(model)), Path(policy))


def demo(output: Path | str = "facevalue-demo") -> TrainResult:
    """The whole path on 200 real pictures that scikit-image carries, in under a minute.

    ``output`` gets ``pictures/``, ``model/`` with its report page, ``explain/`` and the attack's plots.
    """
    output = Path(output)
    if output.exists() and any(output.iterdir()) and not (output / "pictures" / "not-face").is_dir():
        raise UsageError(f"{output} is there and is not an earlier demo; choose another place with -o")
    source = write_lfw_subset(output / "pictures")
    model = output / "model"
    made = train(
        source,
        model,
        recipe="scratch",
        overwrite=True,
        command=f"facevalue demo -o {output}",
        size=32,
        epochs=12,
        set={"network.options": {"widths": [16, 32, 64]}, "fit.patience": 0, "optimizer.lr": 3e-3},
    )
    attack(
        model,
        source,
        attacks=["fgsm"],
        plot=output / "accuracy-against-eps.png",
        sheet=output / "attack.png",
        command=f"facevalue attack {model} {source} --attacks fgsm",
    )
    table = pd.read_parquet(model / MANIFEST)
    test = table[table["split"] == "test"]
    shown = [*test[test["label"] == "face"]["path"][:2], *test[test["label"] == "not-face"]["path"][:2]]
    explained = explain(model, shown, output / "explain")
    (model / "pictures").mkdir()
    for file in map(Path, explained["files"]):
        shutil.copyfile(file, model / "pictures" / file.name)  # the report shows what lies there
    write_report(model)
    return TrainResult(made.folder, Card.load(model))
