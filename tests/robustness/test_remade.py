"""Re-made images: flips, rates and variance by closed forms, and two models of which one follows the processing."""

from __future__ import annotations

from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from facevalue.data.dataset import ImageDataset
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.remaking import PIPELINES
from facevalue.robustness.remade import explained, remade_report
from facevalue.runtime.base import Answer, ImagePredictor

FEW = tuple(PIPELINES[name] for name in ("box-x0.25", "lanczos-x0.25", "bilinear-x0.5", "jpeg-q40-420"))


@final
class Measuring(ImagePredictor):
    """Calls an image ``yes`` by one number: its brightness, or its fine detail."""

    def __init__(self, what: str, confidence: float = 0.0) -> None:
        self.what = what
        self.card = ModelCard(
            classes=("no", "yes"),
            positive="yes",
            preprocessing=Preprocessing(size=64),
            network=NetworkFacts(name="measuring"),
            abstention=Abstention(confidence=confidence),
        )

    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        x = pixels.astype(float).mean(axis=3)
        if self.what == "brightness":
            score = x.mean(axis=(1, 2)) / 255
        else:
            score = np.abs(np.diff(x, axis=2)).mean(axis=(1, 2)) / 12
        p = 1 / (1 + np.exp(-12 * (score.clip(0, 1) - 0.5)))
        return [Answer(np.array([1 - one, one]), 0.0, None) for one in p]


@pytest.fixture(scope="module")
def noisy() -> ImageDataset:
    """Dark ``no`` and bright ``yes``, all with the same fine noise."""
    rng = np.random.default_rng(0)
    images = [
        np.uint8((70 + 115 * (i % 2) + rng.normal(0, 25, (96, 96))).clip(0, 255))[..., None].repeat(3, axis=2)
        for i in range(40)
    ]
    return ImageDataset.from_arrays(images, [i % 2 for i in range(40)], classes=["no", "yes"])


def test_a_verdict_that_follows_the_filter(noisy: ImageDataset) -> None:
    report = remade_report(Measuring("detail"), noisy, pipelines=FEW)
    rates = {r.pipeline: r.rates["yes"] for r in report.results}
    assert (report.original_rates["yes"], rates["box-x0.25"], rates["lanczos-x0.25"]) == (1.0, 0.0, 0.0)
    assert report.explained_by_processing > 0.9
    assert report.explained_by_label < 0.01
    assert {w.code for w in report.warnings} == {"verdict-follows-processing", "answers-flip-when-remade"}
    gap = report.largest_rate_gap
    assert gap.gap == pytest.approx(gap.highest_rate - gap.lowest_rate) == 1.0
    assert gap.gap_ci[0] > 0.5
    assert (report.images_flipped, report.images_answered) == (40, 40)


def test_a_verdict_that_follows_the_label(noisy: ImageDataset) -> None:
    report = remade_report(Measuring("brightness"), noisy)
    assert [r.pipeline for r in report.results] == list(PIPELINES)
    assert (report.original_accuracy, report.flips, report.answers) == (1.0, 0, 40 * len(PIPELINES))
    assert {(r.accuracy, r.flip_rate) for r in report.results} == {(1.0, 0.0)}
    assert report.explained_by_label > 0.95
    assert report.warnings == ()
    # No flip among 40 independent images: not surer than that, however many pipelines there are.
    assert (
        report.flip_rate_ci == report.images_flipped_ci == (0.0, pytest.approx(binomtest(0, 40).proportion_ci().high))
    )


def test_flips_count_only_images_that_are_answered_both_times(noisy: ImageDataset) -> None:
    sure, unsure = (remade_report(Measuring("detail", c), noisy, pipelines=FEW) for c in (0.0, 0.97))
    assert sure.answers == 40 * len(FEW)
    for one in sure.results:
        assert (one.coverage, one.answers, one.flip_rate) == (1, 40, one.flips / 40)
        expected = binomtest(one.flips, 40).proportion_ci(method="exact")
        assert one.flip_rate_ci == (pytest.approx(expected.low), pytest.approx(expected.high))
    # Every original is sure, so an image counts where the re-made one is.
    assert unsure.original_coverage == 1
    assert [one.answers for one in unsure.results] == [round(one.coverage * 40) for one in unsure.results]
    assert 0 < unsure.answers < sure.answers
    nobody = remade_report(Measuring("detail", 1.0), noisy, pipelines=FEW)
    assert (nobody.answers, nobody.flip_rate, nobody.images_flipped_ci) == (0, None, None)


def test_variance_is_split_as_in_a_two_way_analysis() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 2
    label, processing = np.array([-0.2, 0.2])[labels], np.array([-0.1, 0.1, 0.0, 0.0])
    yes = 0.5 + label[None] + processing[:, None] + rng.normal(0, 0.02, (4, 200))
    by_label, by_processing, (low, high) = explained(np.stack([1 - yes, yes], axis=2), labels)
    total = 0.2**2 + processing.var() + 0.02**2
    assert by_label == pytest.approx(0.04 / total, abs=0.01)
    assert by_processing == pytest.approx(processing.var() / total, abs=0.01)
    assert low <= by_processing - by_label <= high < 0
    assert explained(np.full((3, 10, 2), 0.5), np.zeros(10, int))[:2] == (0.0, 0.0)


def test_images_of_one_class_are_enough(noisy: ImageDataset) -> None:
    report = remade_report(Measuring("detail"), noisy.take(noisy.labels == 1), pipelines=FEW)
    assert report.explained_by_label == pytest.approx(0, abs=1e-12)
    assert "verdict-follows-processing" in {w.code for w in report.warnings}
