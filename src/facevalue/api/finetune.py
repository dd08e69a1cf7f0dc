"""``finetune``: going on with a finished model on a hard set, and telling what that cost on the old one."""

from __future__ import annotations

import copy
import hashlib
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import data_facts_of, free_place, provenance_of, save
from facevalue.data.dataset import ImageDataset, dataset_of, held
from facevalue.data.hard_images import hard_manifest
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data, scan
from facevalue.data.training_data import HARD_IMAGES_ONLY, calibrated_on_hard_images_only, found_again, learned_manifest
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.calibration import calibrated, with_novelty
from facevalue.evaluation.evaluate import evaluate_dataset
from facevalue.evaluation.paired_comparison import as_loss, compare_pairs, warnings_of
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import say
from facevalue.evidence.provenance import Provenance, recorded
from facevalue.evidence.records import Evaluation, FinetuneReport
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor, Features
from facevalue.models.origin import Origin
from facevalue.support import progress
from facevalue.support.html import ShownInNotebooks
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.head import moved_head
from facevalue.training.loop import train_body
from facevalue.training.methods import checkpoint_beside
from facevalue.training.plan import ValidationPlan
from facevalue.training.recipe import Recipe, Setting, read

LR, EPOCHS = 5e-5, 5
_THE_MODELS_OWN = ("method", "network", "positive", "split", "refit", "probe", "distill")


@dataclass(frozen=True, eq=False)
class FinetuneResult(ShownInNotebooks):
    """A fine-tuned classifier, and the old and the hard test images before and after.

    Attributes
    ----------
    evaluations : ``old_test_before``, ``old_test_after``, ``hard_before`` and ``hard_after``.
    """

    model: Classifier
    evaluations: Mapping[str, Evaluation]

    @property
    def report(self) -> FinetuneReport:
        """What fine-tuning gave and cost."""
        return self.model.card.of_kind(FinetuneReport)[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        card, report = self.model.card, self.report
        old, hard = report.changes
        test = card.evaluation("test")
        return {
            "model": None if self.model.folder is None else str(self.model.folder),
            **{name: evaluation.to_dict() for name, evaluation in self.evaluations.items()},
            "forgotten": as_loss(old),
            "gained": {**as_loss(hard), "accuracy": hard.change, "ci": list(hard.change_ci)},
            "test": None if test is None else test.to_dict(),
            "stages": report.stages,
            "replay": report.replay,
            "replayed": report.replayed,
            "left_out": report.left_out,
            "temperature": card.temperature,
            "abstention": card.abstention.to_dict(),
            "warnings": [warning.to_dict() for warning in report.warnings],
            "seconds": card.provenance.seconds,
            "seed": card.provenance.seed,
        }


@recorded
def finetune(
    model: Model,
    data: Data,
    output: Path | str | None = None,
    *,
    stages: int | Literal["head", "all"] = "head",
    lr: float | None = None,
    epochs: int | None = None,
    replay: float = 1.0,
    groups: str | None = None,
    old: Data | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> FinetuneResult:
    """Make a new classifier from a model and a hard set.

    The hard images are split by group; what stands in the model's own set already is left out of them. Old training
    images are mixed in, so that less is forgotten. Augmentation is the same for every class. Temperature and limits
    are fitted anew on the old and the hard calibration images, and both test sets are measured before and after.

    Parameters
    ----------
    model : a finished classifier or model folder; it stays as it is.
    data : the hard set. One class is enough: the replayed images bring the other.
    output : the model folder to make; ``None`` keeps the classifier in memory.
    stages : ``head`` moves the last layer alone, as little as the hard images ask for
        (:func:`facevalue.training.head.moved_head`); a number trains so many of the last stages too; or ``all``.
    lr, epochs : of stages; by default 5e-5 and 5.
    replay : old training images for every hard one, drawn evenly from the classes.
    groups : of the hard set, as ``train`` takes them.
    old : where the model's own images are now, if they have moved.
    resume : go on with a fine-tuning of stages that was stopped.
    settings : other settings of the recipe ``finetune`` by dotted key.

    Raises
    ------
    UsageError
        A setting cannot be right, the model is an ensemble, or ``output`` is taken.
    DataError
        The model's own images are not where they were, or the hard set has other classes or too few images.
    """
    start = time.perf_counter()
    folder = None if output is None else free_place(Path(output), overwrite)
    before = opened(model)
    if stages not in ("head", "all") and not (isinstance(stages, int) and stages >= 1):
        raise UsageError(f"expected `stages` to be head, all or a number of at least 1, but got {stages!r}")
    if not 0 <= replay < math.inf:
        raise UsageError(f"expected `replay` to be a number of at least 0, but got {replay:g}")
    if folder is not None and before.folder is not None and folder.exists() and folder.samefile(before.folder):
        raise UsageError(f"{folder} is the model to go on with, which stays as it is; choose another `output`")
    if folder is None and resume:
        raise UsageError("`resume` goes on with a fine-tuning that was stopped beside its `output`; name that folder")
    own = sorted(key for key in settings or {} if key.partition(".")[0] in _THE_MODELS_OWN)
    if own:
        raise UsageError(f"{own[0]} is the model's own and stays; see optimizer, schedule, fit and augment")
    if stages == "head" and (lr is not None or epochs is not None or settings):
        raise UsageError(
            "`lr`, `epochs` and `settings` are about `stages` N or all; the head alone is solved, not trained"
        )
    if before.card.network.name == "ensemble":
        raise UsageError(f"{model} is an ensemble; fine-tune its members and combine them again")
    recipe = _recipe(before.card, stages, lr, epochs, {"seed": seed, **(settings or {})})
    seed = recipe.seed
    if before.origin is None:
        raise UsageError("it is not known what this classifier was made from, so nothing of it can be replayed")
    known = found_again(learned_manifest(before.origin.manifest, before.card), SPLITS, old, "old")
    hard, left_out = hard_manifest(scan(data), known, before.card.classes, groups, seed)
    say(hard.warnings)
    of_old, of_hard = _splits(known, before.card, "old"), _splits(hard, before.card, "hard")
    kept = "calibration" in of_old  # what was trained once more has learned from all of its images but test
    alone = not kept or calibrated_on_hard_images_only(before.card)
    absent = [c for i, c in enumerate(before.card.classes) if not (of_hard["calibration"].labels == i).any()]
    if absent and not kept:
        raise DataError(
            f"the hard set has no {absent[0]} for calibration, and the model has learned from its own calibration "
            "images (refit); give hard images of every class"
        )
    extractor = Extractor(before)
    asked = {"old": of_old["test"], "hard": of_hard["test"]}
    features_before = {name: extractor.of(part) for name, part in asked.items()}

    replayed = [of_old["train"].some(round(replay * len(of_hard["train"])), seed)] if replay else []
    # As many old as hard ones (or as many times as are replayed), or the old would drown the hard.
    watched = max(1, round(max(1.0, replay) * len(of_hard["validation"])))
    mixed = {
        "train": of_hard["train"].joined(*replayed, name="train"),
        "validation": of_hard["validation"].joined(
            *([of_old["validation"].some(watched, seed)] if kept else []), name="validation"
        ),
        "calibration": of_hard["calibration"].joined(*([of_old["calibration"]] if kept else []), name="calibration"),
        "test": of_old["test"].joined(of_hard["test"], name="test"),
    }
    if stages == "head":
        after, history, features = _with_moved_head(before, extractor, mixed)
    else:
        mixed = held(mixed)
        with _checkpoint(folder, recipe, before, mixed, resume) as checkpoint:
            plan = ValidationPlan(recipe, mixed["validation"])
            after, history = train_body(before, mixed["train"], plan, recipe, checkpoint)
        extractor = Extractor(after)
        features = {name: extractor.of(part) for name, part in mixed.items()}
    limits = recipe.calibration
    after = calibrated(
        with_novelty(after, features["train"]),
        features["calibration"],
        target=limits.target,
        floor=limits.floor,
        quantile=limits.quantile,
    )
    # The test split is the old images, then the hard ones.
    n_old = len(of_old["test"])
    features_after = {"old": features["test"].rows(0, n_old), "hard": features["test"].rows(n_old)}
    changes = tuple(
        compare_pairs(f"{name} test", before, features_before[name], after, features_after[name])
        for name in ("old", "hard")
    )
    report = FinetuneReport(
        model="in memory" if before.folder is None else before.folder.name,
        weights_sha256=before.weights_sha256(),
        stages=str(stages),
        replay=replay,
        replayed=sum(map(len, replayed)),
        left_out=left_out,
        changes=changes,
        warnings=(*warnings_of(changes, before.card, of_hard), *([HARD_IMAGES_ONLY] if alone else [])),
        provenance=Provenance.made(
            start, seed, fingerprint=hard.fingerprint(), source=hard.source, n=sum(change.n for change in changes)
        ),
    )
    whole = Manifest(
        table=pd.concat([known.table, hard.table], ignore_index=True),
        source=f"{known.source}; {hard.source}",
        groups="; ".join(dict.fromkeys((known.groups, hard.groups))),
        warnings=(*known.warnings, *hard.warnings),
        images={**known.images, **hard.images},
    )
    reports = [evaluate_dataset(after, mixed[split], features=features[split]) for split in reversed(SPLITS)]
    after_reports = {
        f"{name}_after": evaluate_dataset(after, asked[name], features=features_after[name]) for name in ("old", "hard")
    }
    before_reports = {
        f"{name}_before": evaluate_dataset(before, asked[name], features=features_before[name]) for name in asked
    }
    card = after.card.changed(
        data=data_facts_of(whole),
        recipe={
            **recipe.to_dict(),
            "hardened": list(before.card.hardened),
            "finetune": report.changed(changes=()).to_dict(),
        },
        provenance=provenance_of(whole, start, seed),
        seconds_per_epoch=float(np.mean([line["seconds"] for line in history])),
        files={},
        evidence=(*reversed(reports), *after_reports.values(), report),
    )
    after = after.changed(card, origin=Origin(whole, tuple(history)))
    if folder is not None:
        after = load(save(after, folder, overwrite=overwrite, parity=mixed["test"], start=start))
        _beside(folder, recipe, before, mixed).clear()
    every = {**before_reports, **after_reports}
    names = {"old_before": "old_test_before", "old_after": "old_test_after"}
    return FinetuneResult(after, {names.get(key, key): report for key, report in every.items()})


def _beside(folder: Path, recipe: Recipe, before: Classifier, mixed: Mapping[str, ImageDataset]) -> Checkpoint:
    texts = [before.weights_sha256(), *(part.fingerprint for part in mixed.values())]
    return checkpoint_beside(folder, recipe, hashlib.sha256("\n".join(texts).encode()).hexdigest())


@contextmanager
def _checkpoint(
    folder: Path | None, recipe: Recipe, before: Classifier, mixed: Mapping[str, ImageDataset], resume: bool
) -> Iterator[Checkpoint]:
    """Where an unfinished fine-tuning stands."""
    with tempfile.TemporaryDirectory(prefix="facevalue-") as place:
        checkpoint = _beside(folder or Path(place) / "model", recipe, before, mixed)
        if not resume:
            checkpoint.clear()
        try:
            yield checkpoint
        except KeyboardInterrupt as error:
            if folder is not None and checkpoint.folder.exists():
                raise KeyboardInterrupt(f"{checkpoint.folder} holds what was learned; go on with `resume`") from error
            raise


def _recipe(
    card: ModelCard,
    stages: int | Literal["head", "all"],
    lr: float | None,
    epochs: int | None,
    changes: Mapping[str, Any],
) -> Recipe:
    own = card.recipe
    settings: dict[str, Any] = {
        "network.name": card.network.name,
        "network.options": card.network.options,
        "network.weights": "none",
        "optimizer.lr": LR if lr is None else lr,
        "fit.epochs": EPOCHS if epochs is None else epochs,
        "fit.stages": "all" if stages == "head" else stages,
        "fit.head_lr_factor": 1.0,  # the head is no newcomer here
        "schedule.warmup_epochs": 0,
        "positive": card.positive,
        "calibration": own.get("calibration"),
        # What the model was trained to look past, it should go on looking past.
        "augment": own.get("augment") if own.get("method") in ("scratch", "finetune") else None,
    }
    return read("finetune", {**settings, **changes})


def _splits(manifest: Manifest, card: ModelCard, name: str) -> dict[str, ImageDataset]:
    """Those that there are."""
    there = [s for s in SPLITS if not manifest.rows(s).empty]
    return {s: dataset_of(manifest, card.preprocessing, card.classes, s, name=f"{name} {s}") for s in there}


def _with_moved_head(
    before: Classifier, extractor: Extractor, mixed: Mapping[str, ImageDataset]
) -> tuple[Classifier, list[dict[str, Any]], dict[str, Features]]:
    features = {name: extractor.of(part) for name, part in mixed.items()}
    with progress.work("moving the head", unit="fits"):
        head, history = moved_head(
            before.body.head,
            (features["train"].x, features["train"].y),
            (features["validation"].x, features["validation"].y),
        )
    after = copy.deepcopy(before)
    after.body.head.load_state_dict(head.state_dict())
    return after.eval(), history, features
