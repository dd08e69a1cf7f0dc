"""What a positive means at a base rate: Bayes' rule, exact intervals, and the page's script."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
import pytest
from scipy.stats import beta

from facevalue.evaluation.figures import figures
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports.base_rate import BaseRateFigures, script, script_hash


def card(**changes) -> ModelCard:
    return ModelCard(
        classes=("real", "ai"),
        positive="ai",
        preprocessing=Preprocessing(size=32),
        network=NetworkFacts(name="small-resnet"),
        abstention=Abstention(confidence=0.8),
        **changes,
    )


def test_only_answers_count_and_the_intervals_are_exact() -> None:
    of_ai = np.array([0.9] * 60 + [0.7] * 40 + [0.9] * 3 + [0.1] * 197)
    y = np.array([1] * 100 + [0] * 200)
    test = figures(card(), y, np.stack([1 - of_ai, of_ai], 1), np.zeros(300))
    found = BaseRateFigures.of(test, "ai")
    assert found is not None
    assert (found.positives, found.negatives) == (100, 200)
    assert (found.found, found.accused) == (0.6, 0.015)
    assert found.found_ci[0] == pytest.approx(beta.ppf(0.0125, 60, 41))
    assert found.accused_ci[1] == pytest.approx(beta.ppf(0.9875, 4, 197))
    share, (low, high) = found.meaning(0.02)
    assert share == pytest.approx(0.6 * 0.02 / (0.6 * 0.02 + 0.015 * 0.98))
    assert low == pytest.approx(1 / (1 + found.accused_ci[1] * 0.98 / (found.found_ci[0] * 0.02)))
    assert low < share < high
    assert found.meaning(0.0)[0] == 0
    assert found.meaning(1.0)[0] == 1


def test_the_interval_holds_in_as_many_draws_as_promised() -> None:
    rng = np.random.default_rng(0)
    found, accused, rate = 0.8, 0.02, 0.05
    truth = found * rate / (found * rate + accused * (1 - rate))
    inside = 0
    for _ in range(300):
        hits, wrong = int(rng.binomial(150, found)), int(rng.binomial(250, accused))
        of_ai = np.repeat([0.9, 0.1, 0.9, 0.1], [hits, 150 - hits, wrong, 250 - wrong])
        y = np.repeat([1, 0], [150, 250])
        decided = (of_ai > 0.5).astype(int)
        counts = tuple(tuple(int(((y == a) & (decided == b)).sum()) for b in (0, 1)) for a in (0, 1))
        report = BASE.changed(answered=counts, confusion=counts)
        made = BaseRateFigures.of(report, "ai")
        assert made is not None
        low, high = made.meaning(rate)[1]
        inside += low <= truth <= high
    assert inside / 300 >= 0.94


BASE = figures(card(), np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.zeros(2))


def test_there_is_nothing_to_say_without_both_classes_or_counts() -> None:
    assert BaseRateFigures.of(BASE, None) is None
    assert BaseRateFigures.of(BASE.changed(answered=()), "ai") is None
    assert BaseRateFigures.of(BASE.changed(confusion=((0, 0), (1, 1))), "ai") is None
    nothing = BaseRateFigures.of(BASE.changed(answered=((0, 0), (0, 0))), "ai")
    assert nothing is not None
    assert nothing.meaning(0.1)[0] is None


def test_the_policy_of_the_page_allows_this_script_only() -> None:
    digest = hashlib.sha256(script().encode()).digest()
    assert script_hash() == "sha256-" + base64.b64encode(digest).decode()
    assert "</script" not in script()
