"""The choice of a calibration method: temperature stays unless it is really beaten, and groups are never divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facevalue.errors import UsageError
from facevalue.evaluation.answer_limits import CalibrationChoices, margins, parts_of
from facevalue.evaluation.calibration_choice import Fitted, applicable, chosen, cross_validated, folds_of, losses
from facevalue.evaluation.calibration_set import CalibrationSet, Condition, Rows
from facevalue.models.calibration import METHODS
from facevalue.models.features import Features


def rows(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Rows:
    n = len(labels)
    images = np.arange(n)
    return Rows(logits, labels, images, images if groups is None else groups, np.zeros(n, int), np.ones(n))


def two_classes(n: int, seed: int, slope: float, offset: float = 0.0) -> Rows:
    """Log odds whose truth is ``slope`` times as sure below 0 as above it, plus an offset."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 3, n)
    truth = np.where(odds < 0, odds * slope, odds) + offset
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return rows(np.stack([np.zeros(n), odds], 1), y)


def test_temperature_stays_where_it_is_right_and_goes_where_it_is_not() -> None:
    kept = [chosen(two_classes(300, seed, 1.0), applicable(2))[0] for seed in range(12)]
    assert kept.count("temperature") >= 11
    beaten, loss = chosen(two_classes(1500, 0, 0.25, 1.0), applicable(2))
    assert beaten != "temperature"
    assert set(loss) == set(METHODS)
    assert loss[beaten] < loss["temperature"] - 0.01
    assert chosen(two_classes(40, 0, 0.25, 1.0), applicable(2))[0] == "temperature"  # too few to be sure


def test_with_more_classes_only_methods_for_them_are_compared() -> None:
    assert applicable(2) == tuple(METHODS)
    assert applicable(3) == ("temperature", "vector")
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(900, 3)) * 2
    p = np.exp(logits * [0.3, 1, 1] + [1.5, 0, 0])
    y = (p.cumsum(1) / p.sum(1, keepdims=True) > rng.random((900, 1))).argmax(1)
    assert chosen(rows(logits, y), applicable(3))[0] == "vector"


def test_a_group_is_in_one_fold_and_folds_are_about_equal() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 400)
    some = rows(rng.normal(size=(400, 2)), (groups % 3 == 0).astype(np.int64), groups)
    fold = folds_of(some)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    for c in (0, 1):
        sizes = np.bincount(fold[some.labels == c], minlength=5)
        assert sizes.min() > 0.6 * sizes.max()
    alone = rows(rng.normal(size=(20, 2)), np.arange(20) % 2, np.zeros(20, np.int64))
    assert len(set(folds_of(alone))) == 5  # one group only: folds of images


def test_out_of_fold_probabilities_are_fits_without_the_fold() -> None:
    some = two_classes(200, 0, 0.5)
    fold = folds_of(some)
    p = cross_validated(some, ["beta"])["beta"]
    inside = fold == 2
    expected = Fitted.on(some.take(~inside), "beta").probabilities(some.logits[inside])
    assert p[inside] == pytest.approx(expected)
    assert losses(some, p) == pytest.approx(-np.log(p[np.arange(200), some.labels]))


def test_images_keep_their_groups_and_those_without_one_are_their_own() -> None:
    features = Features(torch.zeros(6, 3), np.array([0, 1, 0, 1, 0, 1]))
    damaged = Condition("jpeg-60", np.array([1, 4]), Features(torch.zeros(2, 3), np.array([1, 0])))
    every = CalibrationSet(features, (damaged,), ["a", "b", "a", "", "", "b"])
    assert every.counts == {"original": 6, "jpeg-60": 2}
    numbers = every.groups_of_images
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[5]
    assert len(set(numbers)) == 4


def test_a_stated_error_of_other_methods_is_shown_on_images_that_did_not_fit_them() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 90, 600)
    some = rows(rng.normal(size=(600, 2)), rng.integers(0, 2, 600), groups)
    stated = CalibrationChoices(max_error=0.01)
    fitting, limiting = parts_of(some, stated, ("temperature",))
    assert fitting.all()
    assert limiting.all()  # a temperature keeps the order of two classes
    fitting, limiting = parts_of(some, stated, ("isotonic",))
    assert not (set(groups[fitting]) & set(groups[limiting]))
    assert fitting.sum() == pytest.approx(200, abs=30)
    assert (fitting | limiting).all()
    assert parts_of(some, CalibrationChoices(), ("isotonic",))[1].all()
    three = rows(rng.normal(size=(600, 3)), rng.integers(0, 3, 600), groups)
    assert not parts_of(three, stated, ("temperature",))[1].all()


def test_what_is_for_two_classes_is_refused_for_more() -> None:
    assert CalibrationChoices(max_error=0.01).methods(2) == ("temperature",)
    assert CalibrationChoices(max_error=0.01).methods(3) == ("temperature", "vector")
    assert CalibrationChoices(method="beta").methods(2) == ("beta",)
    with pytest.raises(
        UsageError, match=r"`method` beta is for two classes, and the model has 3; .* temperature, vector"
    ):
        CalibrationChoices(method="beta").methods(3)
    with pytest.raises(UsageError, match="`max_false_positive` is for two classes"):
        CalibrationChoices(max_false_positive=0.01).methods(3)
    with pytest.raises(UsageError, match="no calibration method 'plat'"):
        CalibrationChoices(method="plat").methods(2)


def test_a_margin_is_the_true_classs_lead() -> None:
    logits = np.array([[2.0, 5.0, 1.0], [2.0, 5.0, 1.0]])
    assert margins(logits, np.array([1, 0])).tolist() == [3.0, -3.0]
