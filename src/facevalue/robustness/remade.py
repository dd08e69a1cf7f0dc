"""Does the verdict follow the program that saved the file? The same images through the declared pipelines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import Interval, PipelineFigures, RateGap, RemadeReport
from facevalue.images.remaking import PIPELINES, Pipeline, remade
from facevalue.images.sources import ImageInput
from facevalue.runtime.base import ImagePredictor
from facevalue.support import machine, progress
from facevalue.support.formats import percent
from facevalue.types import Prediction

FLIPS = 0.01
"""Warn if more than this share of the answers flips, and not by chance."""

GAP = 0.1
"""A class's rate must differ between two pipelines by more than this, beyond chance, to say that verdicts follow."""

_DRAWS = 500

Floats = NDArray[np.float64]


def remade_report(
    predictor: ImagePredictor,
    dataset: ImageDataset,
    seed: int = 0,
    pipelines: Sequence[Pipeline] = tuple(PIPELINES.values()),
) -> RemadeReport:
    """Flips, accuracy and coverage of a predictor on re-made images, by pipeline.

    A flip is an image that is answered as it is and after a pipeline, with two different labels.

    Parameters
    ----------
    seed : of the bootstrap.
    """
    start = time.perf_counter()
    n = len(dataset)
    with progress.work("re-made images", n * (1 + len(pipelines))) as work:
        original = _predicted(predictor, dataset, None, work)
        by_pipeline = [_predicted(predictor, dataset, pipeline, work) for pipeline in pipelines]
    results = tuple(
        _figures(dataset, pipeline, original, predictions)
        for pipeline, predictions in zip(pipelines, by_pipeline, strict=True)
    )
    both = np.array([_both(original, predictions) for predictions in by_pipeline])  # (pipelines, images)
    flipped = np.array([_flipped(original, predictions) for predictions in by_pipeline])
    judged, turned = int(both.any(axis=0).sum()), int(flipped.any(axis=0).sum())
    scores = _scores(dataset, [original, *by_pipeline])
    by_label, by_processing, difference = explained(scores, dataset.labels, seed)
    right = sum(map(_right, original, _labels(dataset)))
    report = RemadeReport(
        provenance=Provenance.of(dataset, start, seed),
        classes=dataset.classes,
        original_accuracy=right / n,
        original_accuracy_ci=metrics.wilson(right, n),
        original_coverage=sum(p.label is not None for p in original) / n,
        original_rates=_rates(dataset.classes, original),
        answers=int(both.sum()),
        flips=int(flipped.sum()),
        flip_rate=float(flipped.sum() / both.sum()) if both.any() else None,
        flip_rate_ci=_flip_interval(both, flipped, seed) if both.any() else None,
        images_answered=judged,
        images_flipped=turned,
        images_flipped_ci=metrics.exact(turned, judged) if judged else None,
        explained_by_label=by_label,
        explained_by_processing=by_processing,
        explained_difference_ci=difference,
        largest_rate_gap=_largest_gap(dataset.classes, ["original", *(p.name for p in pipelines)], scores.argmax(2)),
        results=results,
        inputs=predictor.card.inputs,
    )
    return report.changed(warnings=tuple(_findings(report)))


def explained(scores: Floats, labels: NDArray[np.int64], seed: int = 0) -> tuple[float, float, Interval]:
    """Shares of the variance of scores that the images' labels and their processing explain.

    A two-way analysis of variance of a balanced design: every image is there after every pipeline. Squared distances
    are summed over the classes.

    Parameters
    ----------
    scores : (pipelines, n, k) probabilities.
    labels : (n,) int.
    seed : of the bootstrap.

    Returns
    -------
    The share of the labels, the share of the processing, and a 95 % bootstrap interval, over images, of the second
    minus the first.
    """
    rng = np.random.default_rng(seed)
    of_class = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    by_label, by_processing = _shares(scores, labels)
    drawn = []
    for _ in range(_DRAWS):
        places = np.concatenate([rng.choice(part, len(part)) for part in of_class])
        label, processing = _shares(scores[:, places], labels[places])
        drawn.append(processing - label)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return by_label, by_processing, (float(low), float(high))


def _shares(scores: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    centred = scores - scores.mean(axis=(0, 1))
    total = float(np.square(centred).mean(axis=(0, 1)).sum())
    if total == 0:
        return 0.0, 0.0
    processing = float(np.square(centred.mean(axis=1)).mean(axis=0).sum())
    of_image = centred.mean(axis=0)
    label = sum(
        float((labels == c).mean() * np.square(of_image[labels == c].mean(axis=0)).sum()) for c in np.unique(labels)
    )
    return label / total, processing / total


def _image(dataset: ImageDataset, pipeline: Pipeline | None, index: int) -> ImageInput:
    """The image as it is stored, or re-made."""
    return dataset.images[index] if pipeline is None else remade(dataset.upright(index), pipeline)


def _predicted(
    predictor: ImagePredictor, dataset: ImageDataset, pipeline: Pipeline | None, work: progress.Work
) -> list[Prediction]:
    images = machine.in_order(partial(_image, dataset, pipeline), range(len(dataset)))
    found = []
    for prediction in predictor.stream_named((None, image) for image in images):
        found.append(prediction)
        work.advance(1, "" if pipeline is None else pipeline.name)
    return found


def _labels(dataset: ImageDataset) -> list[str]:
    return [dataset.classes[label] for label in dataset.labels]


def _right(prediction: Prediction, label: str) -> bool:
    return prediction.leaning == label


def _both(original: Sequence[Prediction], made: Sequence[Prediction]) -> list[bool]:
    return [a.label is not None and b.label is not None for a, b in zip(original, made, strict=True)]


def _flipped(original: Sequence[Prediction], made: Sequence[Prediction]) -> list[bool]:
    pairs = zip(original, made, _both(original, made), strict=True)
    return [answered and a.label != b.label for a, b, answered in pairs]


def _rates(classes: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float]:
    return {label: sum(p.leaning == label for p in predictions) / len(predictions) for label in classes}


def _figures(
    dataset: ImageDataset, pipeline: Pipeline, original: Sequence[Prediction], made: Sequence[Prediction]
) -> PipelineFigures:
    n, truth = len(dataset), _labels(dataset)
    right = sum(map(_right, made, truth))
    answered = [(p, label) for p, label in zip(made, truth, strict=True) if p.label is not None]
    both, flips = sum(_both(original, made)), sum(_flipped(original, made))
    return PipelineFigures(
        pipeline=pipeline.name,
        kind=pipeline.kind,
        steps=pipeline.description,
        n=n,
        accuracy=right / n,
        accuracy_ci=metrics.wilson(right, n),
        coverage=len(answered) / n,
        accuracy_answered=sum(p.label == label for p, label in answered) / len(answered) if answered else None,
        answers=both,
        flips=flips,
        flip_rate=flips / both if both else None,
        flip_rate_ci=metrics.exact(flips, both) if both else None,
        rates=_rates(dataset.classes, made),
    )


def _flip_interval(both: NDArray[np.bool_], flipped: NDArray[np.bool_], seed: int) -> Interval:
    """95 % interval of the flips among all answers: a bootstrap over images, whose answers belong together.

    Its upper end is at least the exact one for as many images of which none flips, because a bootstrap of no flips has
    no width.
    """
    rng = np.random.default_rng(seed)
    answers, flips = both.sum(axis=0), flipped.sum(axis=0)
    drawn = rng.integers(0, len(answers), (_DRAWS, len(answers)))
    rates = flips[drawn].sum(axis=1) / np.maximum(1, answers[drawn].sum(axis=1))
    low, high = np.percentile(rates, (2.5, 97.5))
    return float(low), max(float(high), metrics.exact(0, int((answers > 0).sum()))[1])


def _scores(dataset: ImageDataset, predictions: Sequence[Sequence[Prediction]]) -> Floats:
    """(pipelines, n, k) probabilities; where an image has none, for instance without a face, all classes are equal."""
    even = dict.fromkeys(dataset.classes, 1 / len(dataset.classes))
    return np.array([[[(p.probabilities or even)[c] for c in dataset.classes] for p in of] for of in predictions])


def _largest_gap(classes: Sequence[str], names: Sequence[str], decided: NDArray[np.int64]) -> RateGap:
    """The largest difference between two pipelines in how often a class has the highest probability.

    The interval holds for all pairs and classes at once (Bonferroni).

    Parameters
    ----------
    decided : (pipelines, n) class of each image.
    """
    pairs = len(classes) * len(names) * (len(names) - 1) // 2
    of_class = np.array([(decided == c).mean(axis=1) for c in range(len(classes))])
    best = int(np.ptp(of_class, axis=1).argmax())
    low, high = int(of_class[best].argmin()), int(of_class[best].argmax())
    more, less = decided[high] == best, decided[low] == best
    masks = (more & less, more & ~less, ~more & less, ~more & ~less)
    both, first, second, neither = (int(mask.sum()) for mask in masks)
    return RateGap(
        label=classes[best],
        highest=names[high],
        highest_rate=float(of_class[best, high]),
        lowest=names[low],
        lowest_rate=float(of_class[best, low]),
        gap=float(of_class[best, high] - of_class[best, low]),
        gap_ci=metrics.difference_of_paired_rates(both, first, second, neither, 1 - 0.05 / max(1, pairs)),
    )


def _findings(report: RemadeReport) -> Iterator[Finding]:
    gap = report.largest_rate_gap
    if report.explained_difference_ci[0] > 0 and gap.gap_ci[0] > GAP:
        processing, label = percent(report.explained_by_processing), percent(report.explained_by_label)
        text = (
            f"how an image was processed says more about the score than its label: it explains {processing} of the "
            f"variance, the label {label} (n = {report.n}); {gap.label!r} is predicted for {percent(gap.highest_rate)} "
            f"of the images after {gap.highest}, for {percent(gap.lowest_rate)} after {gap.lowest}"
        )
        yield finding(
            "verdict-follows-processing",
            text,
            by_processing=report.explained_by_processing,
            by_label=report.explained_by_label,
            label=gap.label,
            gap=gap.gap,
            n=report.n,
        )
    if report.flip_rate is not None and report.flip_rate_ci is not None and report.flip_rate_ci[0] > FLIPS:
        worst = max((r for r in report.results if r.flip_rate is not None), key=lambda r: r.flip_rate or 0)
        text = (
            f"{percent(report.flip_rate)} of the answers change when an image is saved again ({report.flips} of "
            f"{report.answers}), most often after {worst.pipeline}: {percent(worst.flip_rate)}"
        )
        yield finding(
            "answers-flip-when-remade",
            text,
            flip_rate=report.flip_rate,
            flips=report.flips,
            answers=report.answers,
            worst=worst.pipeline,
        )
