"""Stable answers: the mean, the vote, the limit of support, and their calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from facevalue import decision
from facevalue.errors import UsageError
from facevalue.evaluation.figures import figures
from facevalue.evaluation.stability import Pairs, support_limit
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts, Stability
from facevalue.images.preprocessing import Preprocessing


def card(classes: int = 2, **stability: object) -> ModelCard:
    names = tuple("abcde"[:classes])
    return ModelCard(
        classes=names,
        positive=names[1] if classes == 2 else None,
        preprocessing=Preprocessing(),
        network=NetworkFacts(name="n"),
        stability=Stability(inputs=3, **stability),  # type: ignore[arg-type]
    )


def test_the_answer_is_the_mean_sharpened_by_its_temperature() -> None:
    rng = np.random.default_rng(0)
    versions = softmax(rng.normal(0, 2, (3, 20, 4)), axis=2)
    np.testing.assert_allclose(decision.mean_of_versions(versions), versions.mean(0), rtol=1e-12)
    expected = softmax(np.log(versions.mean(0)) / 0.7, axis=1)
    np.testing.assert_allclose(decision.mean_of_versions(versions, 0.7), expected, rtol=1e-9)
    found = decision.combined(card(4, temperature=0.7), versions)
    np.testing.assert_allclose(found.p, expected, rtol=1e-9)
    assert decision.mean_of_versions(np.array([[[0.0, 1.0]]]), 0.5).tolist() == [[pytest.approx(0, abs=1e-20), 1.0]]


def test_one_vote_against_or_little_support_is_unstable() -> None:
    second = np.array([[0.9, 0.9, 0.9], [0.8, 0.4, 0.6], [0.7, 0.9, 0.9]])  # of three versions, by image
    versions = np.stack([1 - second, second], axis=2)
    assert decision.combined(card(), versions).unstable.tolist() == [False, True, False]
    assert decision.combined(card(support=0.65), versions).unstable.tolist() == [False, True, True]
    decided = np.array([1, 1, 1])
    assert decision.support_of(versions, decided).tolist() == pytest.approx([0.7, 0.4, 0.6])


def test_votes_are_taken_at_the_threshold() -> None:
    versions = np.array([[[0.25, 0.75]], [[0.35, 0.65]], [[0.2, 0.8]]])
    assert not decision.combined(card(), versions).unstable[0]
    assert decision.combined(card().changed(threshold=0.7), versions).unstable[0]


def test_without_stable_answers_nothing_changes() -> None:
    plain = card().with_inputs(0)
    assert (plain.stability, plain.inputs, plain.limits) == (None, 1, plain.abstention)
    masks = decision.abstentions(plain.limits, np.array([0.9]), np.array([0.0]))
    assert list(masks) == ["novel", "uncertain"]
    assert plain.with_inputs(None) is plain
    other = plain.changed(abstention=Abstention(confidence=0.9)).with_inputs(4)
    assert other.stability == Stability(inputs=4, abstention=Abstention(confidence=0.9))
    calibrated = card(support=0.6)
    assert calibrated.with_inputs(3) is calibrated
    assert calibrated.with_inputs(2).stability == Stability(inputs=2)
    for wrong in (-1, 8):
        with pytest.raises(UsageError, match=r"`stable` from 2 to 7 network inputs, or 0 for one, but got"):
            plain.with_inputs(wrong)


def test_the_decision_on_the_card_covers_stability() -> None:
    assert len({c.decision() for c in (card(), card(support=0.6), card().with_inputs(0))}) == 3


def naive(pairs: Pairs, target: float) -> float | None:
    """The lowest limit among all that differ, tried one by one."""
    for limit in [0.0, *sorted({float(s) + 1e-9 for s in pairs.support})]:
        flips, answers = pairs.counts(limit)
        if flips == 0 == limit or (flips + 1) / (answers + 1) <= target:
            return limit
    return None


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=40), st.sampled_from([0.01, 0.1, 0.3]))
def test_the_support_limit_is_the_lowest_that_holds(drawn: list[tuple[int, bool]], target: float) -> None:
    pairs = Pairs(np.array([s / 20 for s, _ in drawn]), np.array([f for _, f in drawn], bool))
    limit, expected = support_limit(pairs, target), naive(pairs, target)
    if expected is None:  # not to be shown: then no flip is left
        assert pairs.counts(limit)[0] == 0
    else:
        assert pairs.counts(limit) == pairs.counts(expected)


def test_figures_count_the_unstable() -> None:
    p = np.tile([0.1, 0.9], (40, 1))
    y = np.ones(40, int)
    y[:10], p[:10] = 0, [0.9, 0.1]
    unstable = np.arange(40) % 4 == 0
    found = figures(card(), y, p, np.zeros(40), {"unstable": unstable})
    assert (found.reasons["unstable"], found.abstained, found.inputs) == (10, 10, 3)
