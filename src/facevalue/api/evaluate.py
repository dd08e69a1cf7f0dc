"""``evaluate``: figures of a model on labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from facevalue import decision
from facevalue.api.common.inputs import EvaluationContext, Model
from facevalue.api.explain import methods_with_heat
from facevalue.data.families import By, left_out_by
from facevalue.data.scan import Data
from facevalue.data.strangers import folders_of, read_strangers
from facevalue.errors import UsageError
from facevalue.evaluation.calibration_report import calibration_report
from facevalue.evaluation.calibration_set import ORIGINAL
from facevalue.evaluation.evaluate import evaluated
from facevalue.evaluation.slices import study, values_of
from facevalue.evaluation.stability import stable_answers
from facevalue.evaluation.strangers import evaluate_strangers as evaluate_strangers_dataset
from facevalue.evidence.card import ModelCard
from facevalue.evidence.provenance import recorded
from facevalue.evidence.records import (
    CalibrationReport,
    CertificateReport,
    CorruptionReport,
    Evaluation,
    ExplanationReport,
    LeftOutReport,
    RemadeReport,
    SliceStudy,
    StrangerReport,
)
from facevalue.explanations.report import explanation_report
from facevalue.models.features import Extractor, features_of
from facevalue.reports import plots
from facevalue.robustness.certificates import certify_dataset
from facevalue.robustness.corruptions.damage import EVERYDAY
from facevalue.robustness.corruptions.evaluate import corrupt_dataset
from facevalue.robustness.defenses.smoothing import Smoothing
from facevalue.robustness.remade import remade_report
from facevalue.training.calibration_images import calibration_set
from facevalue.training.left_out import OwnImages, recipe_of_probe
from facevalue.training.left_out_report import Asked, left_out_report, some_of_each
from facevalue.training.settings import CalibrationSettings
from facevalue.training.source_controls import LEARNED


@recorded
def evaluate(
    model: Model,
    data: Data,
    *,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    slices: Sequence[str] = (),
    save: bool = True,
    stable: int | None = None,
) -> Evaluation:
    """Evaluate a model on labelled images, with 95 % intervals.

    Parameters
    ----------
    model : a classifier, or a model folder.
    data : a folder, a manifest file, a table with ``path`` and ``label``, or an :class:`~facevalue.ImageDataset`.
        Classes are matched by name; some may be absent. If it has splits, test is used.
    split : use this split instead. If ``data`` has no splits, those of the model's training are used.
    classes : the model's class for classes of ``data`` with another name: ``{"persons": "human"}``. Several may become
        one.
    slices : columns; the figures are also given for each of their values, see
        :func:`facevalue.evaluation.slices.values_of`.
    save : write the evaluation to the card of a model folder.
    stable : make each answer from so many versions of the network input, see :func:`facevalue.open`.

    Raises
    ------
    UsageError
        ``classes`` has a name that ``data`` or the model lacks.
    DataError
        ``data`` has an unknown class, or no images to evaluate on.
    """
    context = EvaluationContext.of(model, data, split=split, classes=classes, save=save, stable=stable)
    classifier, dataset = context.classifier, context.dataset
    columns = {column: values_of(context.rows, column) for column in slices}
    features = features_of(classifier, dataset, f"evaluating on {dataset.name}")
    card = classifier.card
    answers = stable_answers(classifier, dataset, features) if card.inputs > 1 else None
    p = features.probabilities(classifier) if answers is None else answers.p
    decided = decision.decide(p, card.positive_index, card.threshold)
    done = evaluated(classifier, dataset, features=features, answers=answers)
    report = done.report
    own = tuple(study(name, values, dataset.labels, decided, card.classes) for name, values in columns.items())
    kept = context.finished(report.changed(slices=(*own, *_known_slices(card, report, set(columns)))), done.outputs)
    return kept.changed(slices=own)


def _known_slices(card: ModelCard, report: Evaluation, asked: set[str]) -> list[SliceStudy]:
    """Slices on the card of the same images by other columns."""
    known = [e for e in card.of_kind(Evaluation) if e.identity() == report.identity()]
    return [s for e in known for s in e.slices if s.column not in asked]


@recorded
def evaluate_calibration(
    model: Model,
    data: Data,
    *,
    damage: Sequence[str] | None = None,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 500,
    seed: int = 0,
    save: bool = True,
) -> CalibrationReport:
    """Probabilities before and after calibration, on the images as they are and after everyday damage.

    Parameters
    ----------
    model, data, split, classes, save : as for :func:`evaluate`. Use images that the model was not calibrated on.
    damage : corruptions with a strength, such as ``jpeg-60``; by default those that the model was calibrated for.
    limit : use at most this many images, drawn evenly from the classes; ``None`` for all.
    seed : of the choice of images.
    """
    context = EvaluationContext.of(model, data, split=split, classes=classes, limit=limit, seed=seed, save=save)
    classifier, dataset = context.classifier, context.dataset
    declared = [name for name in classifier.card.calibration.images if name != ORIGINAL]
    settings = CalibrationSettings(
        damage=tuple(declared or EVERYDAY if damage is None else damage), damaged=len(dataset)
    )
    extractor = Extractor(classifier)
    images = calibration_set(extractor, dataset, extractor.of(dataset), settings)
    return context.finished(calibration_report(classifier, images, dataset, own=False))


@recorded
def evaluate_corruptions(
    model: Model,
    data: Data,
    *,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 500,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
) -> CorruptionReport:
    """Accuracy under everyday corruptions: JPEG, blur, noise, resizing and others, each at five strengths.

    Each decoded image is corrupted before the preprocessing. For a model folder ``model.onnx`` makes the predictions,
    as in use.

    Parameters
    ----------
    model, data, split, classes, save : as for :func:`evaluate`.
    limit : use at most this many images, drawn evenly from the classes; ``None`` for all. Each takes 41 predictions.
    seed : of random corruptions and of the choice of images.
    plot : path for a PNG with one curve per corruption.
    """
    context = EvaluationContext.of(model, data, split=split, classes=classes, limit=limit, seed=seed, save=save)
    report = context.finished(corrupt_dataset(context.predictor, context.dataset, seed))
    if plot is not None:
        plots.save_png(plots.corruption_curves(report), Path(plot))
    return report


@recorded
def evaluate_strangers(
    model: Model,
    data: Data,
    strangers: Path | str | Sequence[Path | str],
    *,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    save: bool = True,
) -> StrangerReport:
    """Share of images of other kinds (strangers) that a model answers instead of refusing them, by folder.

    Parameters
    ----------
    model, data, split, classes, save : as for :func:`evaluate`; the share of these images that is answered is given
        beside.
    strangers : folders of images that the model must refuse; each is one set. Images that the model's own data has are
        left out. Folders that it was trained with say little: see the report of its training.
    """
    context = EvaluationContext.of(model, data, split=split, classes=classes, save=save)
    classifier, origin = context.classifier, context.classifier.origin
    known = None if origin is None else origin.manifest
    given = read_strangers(folders_of(strangers), classifier.card.preprocessing.whole, known)
    if given.images is None:
        raise UsageError("expected at least one folder of `strangers`")
    found = evaluate_strangers_dataset(classifier, context.dataset, given.images)
    return context.finished(found.changed(warnings=(*given.warnings, *found.warnings)))


@recorded
def evaluate_explanations(
    model: Model,
    data: Data,
    *,
    methods: Sequence[str] | None = None,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 40,
    seed: int = 0,
    save: bool = True,
) -> ExplanationReport:
    """How faithful heat maps are to a model: insertion and deletion areas, and the weight-randomisation check.

    Parameters
    ----------
    model, data, split, classes, save : as for :func:`evaluate`.
    methods : names in :data:`facevalue.explanations.EXPLANATIONS`; by default all with heat. The report says which of
        them cannot explain this network.
    limit : use at most this many images, drawn evenly from the classes; ``None`` for all. An image takes some hundred
        predictions.
    seed : of the choice of images, of the shuffled weights and of random patches.
    """
    wanted = methods_with_heat(methods)
    context = EvaluationContext.of(model, data, split=split, classes=classes, limit=limit, seed=seed, save=save)
    return context.finished(explanation_report(context.classifier, context.dataset, wanted, seed))


@recorded
def evaluate_remade(
    model: Model,
    data: Data,
    *,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 200,
    seed: int = 0,
    save: bool = True,
    stable: int | None = None,
) -> RemadeReport:
    """Flips and accuracy when the same images are saved again: resized, compressed, as a screenshot, by a messenger.

    Each decoded image goes through the declared pipelines of :data:`facevalue.images.remaking.PIPELINES`. For a model
    folder ``model.onnx`` makes the predictions, as in use.

    Parameters
    ----------
    model, data, split, classes, save, stable : as for :func:`evaluate`.
    limit : use at most this many images, drawn evenly from the classes; ``None`` for all. Each takes 40 predictions.
    seed : of the choice of images and of the bootstrap.
    """
    context = EvaluationContext.of(
        model, data, split=split, classes=classes, limit=limit, seed=seed, save=save, stable=stable
    )
    return context.finished(remade_report(context.predictor, context.dataset, seed))


@recorded
def evaluate_left_out(
    model: Model,
    data: Data,
    *,
    by: By = "source",
    seeds: int = 1,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 50,
    seed: int = 0,
    save: bool = True,
) -> LeftOutReport:
    """Figures on each source, by heads of a probe that were trained again without it.

    The images of ``data`` are tested as they are, as JPEG q60 and q40, and after each filter and factor of resizing.

    Parameters
    ----------
    model, data, classes, save : as for :func:`evaluate`. Of the model's own folder, all images of a source are tested
        when it is left out, beside the test images of the other classes. A source that the model did not learn from
        needs no new training; it is tested like the others.
    split : use only this split of ``data``; by default all images.
    by : ``source`` (the column ``source`` of a manifest, or a folder below that of the class), or ``family`` (the
        column ``family``, or the source's name up to the first ``-``).
    seeds : heads per source. Each further one deals the model's training, validation and calibration images anew.
    limit : use at most this many images of each source; ``None`` for all. Each takes 23 predictions.
    seed : of the choice of images.

    Raises
    ------
    UsageError
        The model is no probe, its training images are not known, or no image has a source.
    DataError
        No source could be left out.
    """
    if by not in get_args(By) or seeds < 1:
        raise UsageError(f"Expected `leave_out` source or family and `seeds` of at least 1, but got {by!r}, {seeds}")
    context = EvaluationContext.of(model, data, split=split or "all", classes=classes, seed=seed, save=save)
    recipe, origin = recipe_of_probe(context.classifier.card), context.classifier.origin
    if origin is None:
        raise UsageError("`leave_out` trains the head again, but the model's training images are not known")
    names, new = left_out_by(context.rows, by), ~context.parts.isin(LEARNED).to_numpy()
    if not names:
        raise UsageError(
            f"`leave_out` {by}: no image has one; name it in a column {by!r} of a manifest, or sort the images of each "
            "class into a folder a source"
        )
    places = some_of_each(context.dataset.labels, names, new, limit, seed)
    images = Asked(context.dataset.take(places), np.array(names, object)[places], new[places])
    report = left_out_report(OwnImages.of(context.classifier, recipe, origin.manifest), images, by, seeds)
    # The heads have not learned from the images of a source that is left out.
    own = replace(context, warnings=tuple(w for w in context.warnings if w.code != "images-seen-in-training"))
    return own.finished(report)


@recorded
def certify(
    model: Model,
    data: Data,
    *,
    sigma: float = 0.25,
    samples: int = 1000,
    alpha: float = 0.001,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    limit: int | None = 100,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
) -> CertificateReport:
    """Certified accuracy of the smoothed model: proven for every change up to an L2 radius.

    The certificate holds for the smoothed model, not for the model without noise. A model that was not trained with
    noise (``augment.noise``) has a low certified accuracy.

    Parameters
    ----------
    model, data, split, classes, save : as for :func:`evaluate`.
    sigma, samples, alpha : see :class:`facevalue.robustness.defenses.smoothing.Smoothing`.
    limit : certify at most this many images, drawn evenly from the classes; ``None`` for all.
    plot : path for a PNG of certified accuracy against the radius.
    """
    smoothing = Smoothing(sigma=sigma, samples=samples, alpha=alpha)
    context = EvaluationContext.of(model, data, split=split, classes=classes, limit=limit, seed=seed, save=save)
    report = context.finished(certify_dataset(context.classifier, context.dataset, smoothing, seed))
    if plot is not None:
        plots.save_png(plots.certified_curve([report]), Path(plot))
    return report
