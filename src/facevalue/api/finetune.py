"""``finetune``: train a model further on hard images, and measure gains and losses."""

from __future__ import annotations

import copy
import hashlib
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import claimed, data_facts_of, expect_other, provenance_of, save
from facevalue.api.common.stable_answers import with_stable_answers
from facevalue.data.class_names import scanned_for
from facevalue.data.dataset import ImageDataset, dataset_of, held
from facevalue.data.face_boxes import with_faces
from facevalue.data.hard_images import hard_manifest
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data
from facevalue.data.strangers import DRAWN, folders_of
from facevalue.data.training_data import HARD_IMAGES_ONLY, calibrated_on_hard_images_only, found_again, learned_manifest
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.evaluate import evaluate_dataset, evaluated
from facevalue.evaluation.paired_comparison import as_loss, compare_pairs, warnings_of
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding, say
from facevalue.evidence.provenance import Provenance, recorded
from facevalue.evidence.records import Evaluation, FinetuneReport
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor, Features
from facevalue.models.origin import Origin
from facevalue.support import progress
from facevalue.support.html import ShownInNotebooks
from facevalue.support.output_folder import resumable
from facevalue.training.calibration_images import calibration_set
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.head import moved_head
from facevalue.training.loop import train_body
from facevalue.training.methods import checkpoint_beside, identity
from facevalue.training.plan import ValidationPlan
from facevalue.training.processes import expect_alone
from facevalue.training.recipe import Recipe, Setting, read
from facevalue.training.strangers import StrangerSplit

LR, EPOCHS = 5e-5, 5
_THE_MODELS_OWN = ("method", "network", "positive", "split", "refit", "probe", "distill", "gate")


@dataclass(frozen=True, eq=False)
class FinetuneResult(ShownInNotebooks):
    """A fine-tuned classifier, and its evaluations before and after.

    Attributes
    ----------
    evaluations : ``old_test_before``, ``old_test_after``, ``hard_before`` and ``hard_after``.
    """

    model: Classifier
    evaluations: Mapping[str, Evaluation]

    @property
    def report(self) -> FinetuneReport:
        """The changes on the old and on the hard test images."""
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
    classes: Mapping[str, str] | None = None,
    old: Data | None = None,
    strangers: Path | str | Sequence[Path | str] = (),
    seed: int = 0,
    resume: bool = False,
    fresh: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> FinetuneResult:
    """Fine-tune a model on a set of hard images. Returns a new classifier with evaluations before and after.

    The hard images are split by group, without those that the model already has. Old training images are mixed in
    (replay) to reduce forgetting. Temperature and limits are fitted on the old and the hard calibration images.

    Parameters
    ----------
    model : a trained classifier or model folder; not changed.
    data : the hard images. One class is enough: the replayed images have the others.
    output : the model folder to create; ``None`` keeps the classifier in memory.
    stages : ``head`` refits only the last layer and keeps it close to the old one
        (:func:`facevalue.training.head.moved_head`); a number also trains that many of the last stages; ``all`` trains
        everything.
    lr, epochs : for stages; by default 5e-5 and 5.
    replay : number of old training images per hard image, drawn evenly from the classes.
    groups : groups of the hard images, as for ``train``.
    classes : names of classes of the hard images, as for ``evaluate``.
    old : the present location of the model's own images, if they have moved.
    strangers : as for ``train``. Give the folders of the training again: a model keeps no images.
    resume, fresh : as for ``train``, for a fine-tuning of stages.
    settings : other settings of the recipe ``finetune``, by dotted key.

    Raises
    ------
    UsageError
        A setting is invalid, the model is an ensemble, ``output`` exists already, or beside it is an interrupted
        fine-tuning with other settings or images.
    FaceValueError
        Another process is writing ``output``.
    DataError
        The model's own images are no longer where they were, or the hard images have unknown classes or are too few.
    """
    expect_alone("finetune")
    start = time.perf_counter()
    before = opened(model)
    if stages not in ("head", "all") and not (isinstance(stages, int) and stages >= 1):
        raise UsageError(f"expected `stages` to be head, all or a number of at least 1, but got {stages!r}")
    if not 0 <= replay < math.inf:
        raise UsageError(f"expected `replay` to be a number of at least 0, but got {replay:g}")
    if output is None and resume:
        raise UsageError("`resume` continues the fine-tuning whose checkpoint is beside `output`; name that `output`")
    own = sorted(key for key in settings or {} if key.partition(".")[0] in _THE_MODELS_OWN)
    if own:
        raise UsageError(f"{own[0]} is fixed by the model; you can change optimizer, schedule, fit and augment")
    if stages == "head" and (lr is not None or epochs is not None or settings):
        raise UsageError(
            "`lr`, `epochs` and `settings` need `stages` N or all; the head alone is fitted without gradient descent"
        )
    if before.card.network.name == "ensemble":
        raise UsageError(f"{model} is an ensemble; fine-tune its members and combine them again")
    with claimed(output, overwrite) as folder:
        expect_other(folder, before.folder)
        recipe = _recipe(before.card, stages, lr, epochs, {"seed": seed, **(settings or {})})
        seed = recipe.seed
        if before.origin is None:
            raise UsageError(
                "this classifier has no manifest of its training images, which fine-tuning needs to replay them"
            )
        known = found_again(learned_manifest(before.origin.manifest, before.card), SPLITS, old, "old")
        given = scanned_for(data, before.card.classes, classes)
        hard, left_out = hard_manifest(given, known, before.card.classes, groups, seed)
        say(hard.warnings)
        known, hard = (with_faces(manifest, before.gate, *SPLITS) for manifest in (known, hard))
        refused = StrangerSplit.of(folders_of(strangers), before.card.preprocessing, _whole(known, hard))
        of_old, of_hard = _splits(known, before.card, "old"), _splits(hard, before.card, "hard")
        kept = "calibration" in of_old  # false after a refit, which trains on all images except test
        alone = not kept or calibrated_on_hard_images_only(before.card)
        absent = [c for i, c in enumerate(before.card.classes) if not (of_hard["calibration"].labels == i).any()]
        if absent and not kept:
            raise DataError(
                f"there are no hard images of {absent[0]} for calibration, and the model was trained on its own "
                "calibration images (refit); add hard images of every class"
            )
        extractor = Extractor(before)
        asked = {"old": of_old["test"], "hard": of_hard["test"]}
        features_before = {name: extractor.of(part) for name, part in asked.items()}

        replayed = [of_old["train"].some(round(replay * len(of_hard["train"])), seed)] if replay else []
        # As many old images as hard ones (times `replay`, if above 1), so that the old ones do not dominate.
        watched = max(1, round(max(1.0, replay) * len(of_hard["validation"])))
        mixed = {
            "train": of_hard["train"].joined(*replayed, name="train"),
            "validation": of_hard["validation"].joined(
                *([of_old["validation"].some(watched, seed)] if kept else []), name="validation"
            ),
            "calibration": of_hard["calibration"].joined(
                *([of_old["calibration"]] if kept else []), name="calibration"
            ),
            "test": of_old["test"].joined(of_hard["test"], name="test"),
        }
        run = identity(recipe, _fingerprint(mixed), before.weights_sha256()) | {"stages": str(stages)}
        with _checkpoint(folder, run) as checkpoint:
            checkpoint.begin(resume=resume, fresh=fresh)
            if stages == "head":
                after, history, features = _with_moved_head(before, extractor, mixed)
            else:
                mixed = held(mixed)
                plan = ValidationPlan(recipe, mixed["validation"])
                after, history = train_body(before, mixed["train"], plan, recipe, checkpoint)
                extractor = Extractor(after)
                features = {name: extractor.of(part) for name, part in mixed.items()}
        held_out = calibration_set(extractor, mixed["calibration"], features["calibration"], recipe.calibration)
        after = refused.calibrated(after, mixed["train"], features["train"], held_out, recipe)
        after, unsure = with_stable_answers(after, mixed["calibration"], held_out, recipe.calibration)
        # The test split has the old images first, then the hard ones.
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
            warnings=(
                *warnings_of(changes, before.card, of_hard),
                *([HARD_IMAGES_ONLY] if alone else []),
                *_not_given_again(before.card, refused),
            ),
            provenance=Provenance.made(
                start, seed, fingerprint=hard.fingerprint(), source=hard.source, n=sum(change.n for change in changes)
            ),
        )
        whole = _whole(known, hard)
        on_strangers = refused.report(after, mixed["test"], features["test"])
        say(on_strangers.warnings)
        # Stable answers take several passes through the network: only the test figures are of them.
        plain = after if after.card.inputs == 1 else after.changed(after.card.with_inputs(0))
        evaluations = [
            evaluated(after if split == "test" else plain, mixed[split], features=features[split])
            for split in reversed(SPLITS)
        ]
        with progress.within("after"):
            after_reports = {
                f"{name}_after": evaluate_dataset(after, asked[name], features=features_after[name])
                for name in ("old", "hard")
            }
        with progress.within("before"):
            before_reports = {
                f"{name}_before": evaluate_dataset(before, asked[name], features=features_before[name])
                for name in asked
            }
        facts = data_facts_of(whole)
        card = after.card.changed(
            data=facts.changed(warnings=(*facts.warnings, *unsure)),
            recipe={
                **recipe.to_dict(),
                "hardened": list(before.card.hardened),
                "finetune": report.changed(changes=()).to_dict(),
            },
            provenance=provenance_of(whole, start, seed),
            seconds_per_epoch=float(np.mean([line["seconds"] for line in history])),
            files={},
            evidence=(*(each.report for each in reversed(evaluations)), *after_reports.values(), on_strangers, report),
        )
        after = after.changed(card, origin=Origin(whole, tuple(history), tuple(each.outputs for each in evaluations)))
        if folder is not None:
            after = load(save(after, folder, overwrite=overwrite, parity=mixed["test"], start=start))
            checkpoint_beside(folder, run).clear()
        every = {**before_reports, **after_reports}
        names = {"old_before": "old_test_before", "old_after": "old_test_after"}
        return FinetuneResult(after, {names.get(key, key): report for key, report in every.items()})


def _fingerprint(mixed: Mapping[str, ImageDataset]) -> str:
    return hashlib.sha256("\n".join(part.fingerprint for part in mixed.values()).encode()).hexdigest()


@contextmanager
def _checkpoint(folder: Path | None, run: Mapping[str, Any]) -> Iterator[Checkpoint]:
    """The checkpoint of this fine-tuning: beside the model folder, or in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="facevalue-") as place:
        checkpoint = checkpoint_beside(folder or Path(place) / "model", run)
        with resumable(checkpoint.folder):
            yield checkpoint


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
        "fit.head_lr_factor": 1.0,  # the head is already trained
        "schedule.warmup_epochs": 0,
        "positive": card.positive,
        "calibration": own.get("calibration"),
        "sources": own.get("sources"),
        "novelty": own.get("novelty"),
        "gate": own.get("gate"),
        # Keep the model's augmentation, so that the invariance it has learned is not lost.
        "augment": own.get("augment") if own.get("method") in ("scratch", "finetune") else None,
    }
    return read("finetune", {**settings, **changes})


def _not_given_again(card: ModelCard, refused: StrangerSplit) -> list[Finding]:
    """A finding if the model was trained with strangers that are not among those given now."""
    lost = [name for name in card.novelty.strangers if not name.startswith(DRAWN) and name not in refused.fit.classes]
    if not lost:
        return []
    text = (
        f"the model was trained to refuse {', '.join(lost)}, but these strangers were not given again; the new model "
        "may answer them. Name their folders with `strangers`"
    )
    return [finding("strangers-not-given-again", text, sets=tuple(lost))]


def _whole(known: Manifest, hard: Manifest) -> Manifest:
    """The old and the hard images in one manifest."""
    return Manifest(
        table=pd.concat([known.table, hard.table], ignore_index=True),
        source=f"{known.source}; {hard.source}",
        groups="; ".join(dict.fromkeys((known.groups, hard.groups))),
        warnings=(*known.warnings, *hard.warnings),
        images={**known.images, **hard.images},
    )


def _splits(manifest: Manifest, card: ModelCard, name: str) -> dict[str, ImageDataset]:
    """The splits that have images."""
    there = [s for s in SPLITS if not manifest.rows(s).empty]
    return {s: dataset_of(manifest, card.preprocessing, card.classes, s, name=f"{name} {s}") for s in there}


def _with_moved_head(
    before: Classifier, extractor: Extractor, mixed: Mapping[str, ImageDataset]
) -> tuple[Classifier, list[dict[str, Any]], dict[str, Features]]:
    features = {name: extractor.of(part) for name, part in mixed.items()}
    with progress.work("refitting the head", 1, "fits") as work:
        head, history = moved_head(
            before.body.head,
            (features["train"].x, features["train"].y),
            (features["validation"].x, features["validation"].y),
        )
        work.advance()
    after = copy.deepcopy(before)
    after.body.head.load_state_dict(head.state_dict())
    return after.eval(), history, features
