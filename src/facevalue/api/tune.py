"""``tune``: search a recipe's settings on the validation split."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from facevalue.data.dataset import dataset_of
from facevalue.data.face_boxes import found_in_training, with_faces
from facevalue.data.manifest import Manifest
from facevalue.data.scan import Data, scan
from facevalue.errors import FaceValueError, MissingExtraError, UsageError
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.findings import finding, say
from facevalue.evidence.provenance import current_command, recorded
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.support import files, progress
from facevalue.support.html import ShownInNotebooks
from facevalue.support.output_folder import locked, resumable
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.methods import Trained, identity, new_classifier, train_method
from facevalue.training.processes import expect_alone
from facevalue.training.recipe import Recipe, Setting, configured
from facevalue.training.search_space import Between, Search, check_comparable, default_space, plain, typed, value_at
from facevalue.training.split_data import split_manifest
from facevalue.training.studies import check_same_study
from facevalue.training.trials import BEST, TRIALS, best_summary, changed, finished, write

if TYPE_CHECKING:
    from optuna import Study, Trial

SETUP, JOURNAL = "study.json", "journal.log"
_SEEN = ("train", "validation")


@dataclass(frozen=True)
class TuneResult(ShownInNotebooks):
    """The state of a study folder.

    Attributes
    ----------
    figures : the contents of ``trials.json``: ``best``, ``n``, ``complete``, ``pruned``, ``failed``, ``searched``,
        ``trials``.
    """

    folder: Path
    figures: Mapping[str, Any]

    @property
    def recipe(self) -> Path:
        """The best recipe, for ``train --recipe``."""
        return self.folder / BEST

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(self.figures)

    def to_frame(self) -> pd.DataFrame:
        """One row per trial."""
        return pd.DataFrame(self.figures["trials"])


@recorded
def tune(
    data: Data,
    output: Path | str,
    *,
    recipe: str = "scratch",
    trials: int = 20,
    space: Mapping[str, Search] | None = None,
    groups: str | None = None,
    prune: bool = True,
    fresh: bool = False,
    seed: int | None = None,
    network: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> TuneResult:
    """Search the settings of a recipe for the lowest validation loss.

    The images are split as by ``train`` with the same seed; no trial reads the calibration and test images. Trials are
    compared by their validation loss at their best temperature, because the temperature is fitted later. The first
    trial is the recipe unchanged. A tree-structured Parzen estimator (Bergstra et al. 2011) proposes the others; a
    trial stops early if it is worse than the median at the same epoch (Golovin et al. 2017).

    Calling ``tune`` again resumes an interrupted study, even within a trial. With more ``trials`` it extends a finished
    study, and makes the same trials as a single call would.

    Parameters
    ----------
    data, recipe, groups, seed, network, weights, size, epochs, settings : as for ``train``.
    output : the study folder: ``best.toml`` for ``train --recipe``, ``trials.json``, ``trials.png``.
    fresh : remove an existing study in ``output`` and start over.
    trials : total number of trials, including those of earlier calls.
    space : values to search by dotted key; by default learning rate, weight decay, label smoothing and batch size.
    prune : stop unpromising trials early.

    Raises
    ------
    UsageError
        A setting is invalid, or ``output`` has another study.
        FaceValueError
            No trial could be trained.
    """
    expect_alone("tune")
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    except ImportError as error:
        raise MissingExtraError("optuna", "tune") from error
    if trials < 1:
        raise UsageError(f"expected `trials` to be at least 1, but got {trials}")
    named: dict[str, Setting | None] = {"network": network, "weights": weights, "size": size, "epochs": epochs}
    base = configured(recipe, seed=seed, named=named, settings=settings)
    searched = typed(space, base) if space else default_space(base)
    check_comparable(searched)
    for key, where in searched.items():  # report a misspelt setting now, not in the first trial
        changed(base, {key: where.low if isinstance(where, Between) else where.values[0]})
    folder = Path(output)
    with locked(folder), resumable(folder):
        if fresh:
            _remove(folder)
        manifest = _set_up(data, folder, base, searched, groups, prune)
        journal = str(folder / JOURNAL)  # locked by a file, because Windows reserves symbolic links to administrators
        with _quiet_optuna(), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                study_name="facevalue",
                storage=JournalStorage(JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal))),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1) if prune else None,
                load_if_exists=True,
            )
            _queue(study, base, searched)
            with progress.work("searching", trials, "trials") as work:
                work.skip(len(finished(study)))
                while len(finished(study)) < trials:
                    # A new sampler for every trial, so that a resumed study proposes the same trials as one without
                    # interruption.
                    number = len(finished(study))
                    study.sampler = optuna.samplers.TPESampler(seed=base.seed + number, n_startup_trials=5)
                    trial = study.ask()
                    with progress.within(f"trial {number}"):
                        _run(study, trial, manifest, base, searched, folder)
                    write(study, folder, base, searched)
                    work.advance(detail=best_summary(study))
        figures = write(study, folder, base, searched) | {"command": current_command()}
        if figures["best"] is None:
            raise FaceValueError(f"none of {trials} trials could be trained; {TRIALS} in {folder} says why")
        return TuneResult(folder, figures)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Log only errors inside the block; restores the host's setting afterwards."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _remove(folder: Path) -> None:
    """Remove a study, and nothing else."""
    if (folder / SETUP).is_file():
        shutil.rmtree(folder)


def _set_up(
    data: Data, folder: Path, base: Recipe, searched: Mapping[str, Search], groups: str | None, prune: bool
) -> Manifest:
    """The manifest of train and validation only; scanned and split once per study."""
    setup: dict[str, Any] = {
        "data": str(data) if isinstance(data, Path | str) else scan(data).fingerprint(),
        "recipe": {key: value for key, value in base.to_dict().items() if key != "seed"},
        "space": {key: where.as_value() for key, where in searched.items()},
        "groups": groups,
        "prune": prune,
        "seed": base.seed,
    }
    if (folder / SETUP).is_file() and (folder / MANIFEST).is_file():
        check_same_study(folder / SETUP, setup)
        seen = Manifest(pd.read_parquet(folder / MANIFEST), setup["data"])
        return seen if isinstance(data, Path | str) else replace(seen, images=scan(data).images)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not a study; choose another `output`")
    looking = base.gate.opened()
    manifest = split_manifest(data, base, groups)
    if looking is not None:
        manifest = with_faces(manifest, looking, *_SEEN)
        seen_splits = replace(manifest, table=manifest.table[manifest.table["split"].isin(_SEEN)])
        manifest = manifest.changed(warnings=(*manifest.warnings, *found_in_training(seen_splits)))
    say(manifest.warnings)
    rows = manifest.rows(*_SEEN).reset_index(drop=True)
    here = [path if path in manifest.images else os.path.abspath(path) for path in rows["path"]]  # noqa: PTH100 - links stay links
    seen = replace(manifest, table=rows.assign(path=here), warnings=())
    folder.mkdir(parents=True, exist_ok=True)
    seen.save(folder / MANIFEST)
    files.write_json(folder / SETUP, setup)
    return seen


def _queue(study: Study, base: Recipe, searched: Mapping[str, Search]) -> None:
    """Queue the unchanged recipe as the first trial, and again the trial that a killed run was at."""
    from optuna.trial import TrialState

    if not study.get_trials(deepcopy=False):
        own = {key: value_at(base, key) for key in searched}
        if all(where.holds(own[key]) for key, where in searched.items()):
            study.enqueue_trial({key: plain(value) for key, value in own.items()})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={"again": trial.number})


def _run(
    study: Study,
    trial: Trial,
    manifest: Manifest,
    base: Recipe,
    searched: Mapping[str, Search],
    folder: Path,
) -> None:
    import optuna
    from optuna.trial import TrialState

    values = {key: _drawn(trial, key, where) for key, where in searched.items()}
    try:
        # A trial is compared on validation, so a refit on validation images would be wasted.
        recipe = changed(base, {**values, "refit": False})
        trial.set_user_attr("settings", values)
        classes = manifest.classes
        classifier = new_classifier(recipe, classes)
        manifest = with_faces(manifest, classifier.gate)  # a trial may have other limits
        splits = {s: dataset_of(manifest, classifier.card.preprocessing, classes, s) for s in _SEEN}

        def watch(history: list[dict[str, Any]]) -> None:
            epoch, loss = int(history[-1]["epoch"]), min(float(line["validation_loss"]) for line in history)
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        checkpoint = Checkpoint(folder / "training", identity(recipe, manifest.fingerprint()), watch)
        if "again" not in trial.user_attrs:
            checkpoint.clear()
        trained = train_method(classifier, splits, recipe, checkpoint)
        value = validation_loss(trained.classifier, trained.features["validation"])
        for name, figure in _validation_figures(trained).items():
            trial.set_user_attr(name, figure)
        study.tell(trial, value)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except FaceValueError as error:
        # Some values cannot be trained (a network too deep for its input size, a loss that becomes NaN).
        if not any("error" in ended.user_attrs for ended in finished(study)):
            say([finding("trial-failed", f"a trial could not be trained: {error}")])
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
    Checkpoint(folder / "training", {}).clear()


def _drawn(trial: Trial, key: str, where: Search) -> Any:
    if isinstance(where, Between):
        if where.whole:
            return trial.suggest_int(key, int(where.low), int(where.high), log=where.log)
        return trial.suggest_float(key, float(where.low), float(where.high), log=where.log)
    choices: list[Any] = [plain(value) for value in where.values]
    return where.values[choices.index(trial.suggest_categorical(key, choices))]


def validation_loss(classifier: Classifier, features: Features) -> float:
    """Cross-entropy in nats, at the best temperature for these outputs."""
    import torch

    logits = features.logits(classifier)
    tempered = logits.double() / fit_temperature(logits, features.y)
    return float(torch.nn.functional.cross_entropy(tempered, torch.from_numpy(features.y)))


def _validation_figures(trained: Trained) -> dict[str, float]:
    features = trained.features["validation"]
    right = features.logits(trained.classifier).argmax(1).numpy() == features.y
    return {"validation_accuracy": float(right.mean()), "epochs": len(trained.history), "seconds": trained.seconds}
