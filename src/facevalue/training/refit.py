"""Combines the two trainings of a recipe with ``refit``: the model to keep, and its evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from facevalue.data.dataset import ImageDataset
from facevalue.data.manifest import SPLITS
from facevalue.evaluation.evaluate import Evaluated, evaluated
from facevalue.evaluation.metrics import difference_of_paired_rates
from facevalue.evidence.findings import Finding, finding, say
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.support import progress
from facevalue.support.formats import percent
from facevalue.training.methods import Trained
from facevalue.training.strangers import StrangerSplit

BEFORE = finding(
    "figures-before-refit",
    "these figures are of the model before the second training (refit); the model in this folder has been trained on "
    "these images",
)


def finished(
    first: Classifier, trained: Trained, splits: Mapping[str, ImageDataset], strangers: StrangerSplit
) -> tuple[Classifier, tuple[Evaluated, ...]]:
    """The model to keep, and its evaluations on all splits; with stable answers, only those on test are of them.

    Without ``refit`` that is ``first``. With it, the second model is kept, with the calibration and limits of the
    first. The second is evaluated only on ``train`` and ``test``; the figures on validation and calibration are of the
    first, which was not trained on them.

    Parameters
    ----------
    first : the classifier of ``trained``, calibrated.
    strangers : novelty of the second model is fitted with them.
    """
    classifier, warned = first, list[Finding]()
    after: Mapping[str, Features] = {}
    if trained.refitted is not None:
        classifier, after, extractor = trained.refitted
        # It has learned from the calibration images: their scores say nothing of other images.
        with progress.within("after the second training"):
            score = strangers.score_again(first, classifier, splits["train"], after["train"], extractor)
            classifier = classifier.changed(first.card.changed(reference=None), novelty_score=score)
        warned = worse((first, trained.features["train"]), (classifier, after["train"]))
    say(warned)
    evaluations = []
    for split in SPLITS:
        own, features = (classifier, after) if split in after else (first, trained.features)
        # Stable answers take several passes through the network: only the test figures are of them.
        asked = own if split == "test" or own.card.inputs == 1 else own.changed(own.card.with_inputs(0))
        done = evaluated(asked, splits[split], features=features[split])
        own_warnings = warned if own is classifier else [BEFORE]
        report = done.report.changed(warnings=(*done.report.warnings, *own_warnings))
        evaluations.append(replace(done, report=report))
    return classifier, tuple(evaluations)


def worse(before: tuple[Classifier, Features], after: tuple[Classifier, Features]) -> list[Finding]:
    """A finding if the second model is less accurate on the images that both were trained on."""
    first, second = (f.logits(classifier).argmax(1).numpy() == f.y for classifier, f in (before, after))
    counts = (int((first & second).sum()), int((first & ~second).sum()), int((~first & second).sum()))
    low, _ = difference_of_paired_rates(*counts, int((~first & ~second).sum()))
    if low <= 0:
        return []
    text = (
        "after the second training (refit) the model is less accurate on its own training images "
        f"({percent(float(second.mean()))} instead of "
        f"{percent(float(first.mean()))}), so the settings and limits chosen before may not fit it; try another "
        "seed, a lower `lr`, or train without refit"
    )
    return [finding("refit-fits-worse", text, before=float(first.mean()), after=float(second.mean()))]
