"""The stated error holds in as many draws as promised, and does not without the correction for several limits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import beta, binom, multivariate_normal, norm

from facevalue.evaluation.exact_bounds import (
    correlation_of_tails,
    correlation_within,
    design_effect,
    fewest,
    most_wrong,
    p_value,
    upper_bound,
)
from facevalue.evaluation.stated_error import NEVER, Answers, sequences_of, state_error

DRAWS = 1000


def answers(confidence: np.ndarray, wrong: np.ndarray, groups: np.ndarray | None = None) -> Answers:
    n = len(wrong)
    margin = np.where(wrong, -confidence, confidence)
    return Answers(confidence, wrong, margin, np.arange(n) if groups is None else groups)


def uncorrected(confidence: np.ndarray, wrong: np.ndarray, error: float) -> float:
    """The lowest limit that passes its own test, of all limits tried: what the correction is for."""
    order = np.argsort(-confidence)
    counts = np.cumsum(wrong[order])
    n = np.arange(1, len(order) + 1)
    passing = np.flatnonzero(binom.cdf(counts, n, error) <= 0.05)
    return float(confidence[order][passing[-1]]) if len(passing) else NEVER


def test_tails_and_bounds_are_scipys() -> None:
    for wrong, n, rate in ((0, 299, 0.01), (3, 500, 0.02), (17, 40, 0.5)):
        assert p_value(wrong, n, rate) == pytest.approx(binom.cdf(wrong, n, rate))
        assert upper_bound(wrong, n, 0.05) == pytest.approx(beta.ppf(0.95, wrong + 1, n - wrong))
        assert binom.cdf(wrong, n, upper_bound(wrong, n, 0.05)) == pytest.approx(0.05)
    assert (p_value(5, 5, 0.1), upper_bound(5, 5)) == (1.0, 1.0)
    for wrong in range(6):
        n = fewest(wrong, 0.01, 0.025)
        assert binom.cdf(wrong, n, 0.01) <= 0.025 < binom.cdf(wrong, n - 1, 0.01)
        assert most_wrong(n, 0.01, 0.025) == wrong
        assert most_wrong(n - 1, 0.01, 0.025) == wrong - 1


def test_the_promise_holds_in_1000_draws_and_without_the_correction_it_does_not() -> None:
    """Every limit has an error just above the stated one, so answering anything breaks the promise."""
    rng = np.random.default_rng(0)
    broken, naive = 0, 0
    for _ in range(DRAWS):
        confidence, wrong = rng.random(1000), rng.random(1000) < 0.0501
        broken += state_error({"original": answers(confidence, wrong)}, 0.05).kept
        naive += uncorrected(confidence, wrong, 0.05) < NEVER
    assert broken / DRAWS <= 0.05 + 2 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert naive / DRAWS > 0.15


@pytest.mark.parametrize(
    ("rates", "alike", "share"),
    [
        ((0.3,), True, 0.7),
        # The usual case: damage adds wrong answers to those that there were.
        ((0.3, 0.5, 0.7), True, 0.6),
        # Harder than damage is: each condition has other wrong answers, and a limit must pass by each of them. With the
        # third condition alone 0.63 of the possible answers are given, with all three 0.59.
        ((0.3, 0.5, 0.7), False, 0.55),
    ],
)
def test_it_holds_where_the_error_grows_as_confidence_falls_and_most_images_are_answered(
    rates: tuple[float, ...], alike: bool, share: float
) -> None:
    """Errors rate x (1 - confidence)^2 by condition: the error above a limit is known exactly.

    The possible answers are those above the limit at which the worst condition's error is the stated one: 45 % and 29 %
    of 3000 images. No method finds it: a limit just above it passes its exact test in 1 of 20 draws.
    """
    rng = np.random.default_rng(1)
    broken, coverage = 0, []
    for _ in range(DRAWS // 2):
        confidence, draw = rng.random(3000), rng.random((len(rates), 3000))
        parts = {
            str(i): answers(confidence, draw[0 if alike else i] < rate * (1 - confidence) ** 2)
            for i, rate in enumerate(rates)
        }
        stated = state_error(parts, 0.02)
        if stated.kept:
            above = 1 - stated.limit
            broken += max(rates) * above**2 / 3 > 0.02  # the mean of the errors above the limit
            coverage.append(above)
    assert broken / (DRAWS // 2) <= 0.05 + 2 * (0.05 * 0.95 / (DRAWS // 2)) ** 0.5
    assert len(coverage) > 0.75 * DRAWS // 2
    assert np.mean(coverage) > share * (0.06 / max(rates)) ** 0.5


def test_one_wrong_answer_among_the_most_certain_does_not_end_the_search() -> None:
    """Of 2000 images eight are wrong wherever they are: by one sequence of limits a wrong label early on ends it."""
    rng = np.random.default_rng(6)
    confidence = np.sort(rng.random(2000))[::-1]
    wrong = np.zeros(2000, bool)
    wrong[[100, 700, 900, 1100, 1300, 1500, 1700, 1900]] = True
    stated = state_error({"original": answers(confidence, wrong)}, 0.01)
    assert (stated.kept, stated.sequences) == (True, 3)
    assert stated.conditions["original"].answered == 2000


def test_a_sequence_adds_its_risk_to_the_next_one() -> None:
    """A limit that fails at the risk of one sequence passes at that of two."""
    first, second = sequences_of(1000, 1.0, 0.01, 0.05)
    assert (first[0], second[0]) == (368, 874)
    confidence = np.linspace(0.99, 0.5, 1000)
    assert p_value(4, 1000, 0.01) > 0.025
    assert p_value(4, 1000, 0.01) <= 0.05
    late = np.zeros(1000, bool)
    late[[560, 730, 880, 990]] = True  # one fewer than allowed at every number of answers before the last
    both = state_error({"original": answers(confidence, late)}, 0.01)
    assert both.conditions["original"].answered == 1000
    assert both.conditions["original"].upper == pytest.approx(upper_bound(4, 1000, 0.05))
    early = np.zeros(1000, bool)
    early[[400, 410, 420, 880]] = True  # the first sequence has failed at 555, and the second has half of the risk
    alone = state_error({"original": answers(confidence, early)}, 0.01)
    assert 874 <= alone.conditions["original"].answered < 1000
    assert alone.conditions["original"].upper == pytest.approx(
        upper_bound(alone.conditions["original"].wrong, alone.conditions["original"].answered, 0.025)
    )


def test_images_in_groups_count_less_and_the_promise_holds_where_it_would_not() -> None:
    """60 groups of 20 images; a group is bad with probability 6 %, and then every fifth image is wrong."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(60), 20)
    broken, alone = 0, 0
    for _ in range(400):
        bad = rng.random(60) < 0.06
        wrong = bad[groups] & (rng.random(1200) < 0.2)
        confidence = rng.random(1200)
        margin = np.where(bad[groups], -1.0, 1.0) + 0.5 * rng.normal(size=1200)
        broken += state_error({"o": Answers(confidence, wrong, margin, groups)}, 0.0119).kept
        alone += state_error({"o": Answers(confidence, wrong, margin, np.arange(1200))}, 0.0119).kept
    assert broken / 400 <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert alone / 400 > 0.1


def test_the_design_effect_is_kishs_and_1_where_every_image_is_its_own_group() -> None:
    rng = np.random.default_rng(0)
    assert design_effect(rng.random(50) < 0.1, rng.random(50), np.arange(50), 0.01) == 1.0
    groups = np.repeat(np.arange(400), 5)
    common = rng.normal(size=400)[groups] * 0.8**0.5 + rng.normal(size=2000) * 0.2**0.5
    assert correlation_within(common, groups) == pytest.approx(0.8, abs=0.03)
    # Whole groups right or wrong: each counts once.
    wrong = (rng.random(400) < 0.2)[groups]
    assert design_effect(wrong, common, groups, 0.01) == pytest.approx(5, rel=0.01)
    for r in (0.1, 0.5, 0.9, 0.99):
        z = norm.ppf(0.02)
        both = multivariate_normal.cdf([z, z], cov=[[1, r], [r, 1]])
        assert correlation_of_tails(r, 0.02) == pytest.approx((both - 0.02**2) / (0.02 * 0.98), abs=1e-4)
    assert correlation_of_tails(1.0, 0.02) == pytest.approx(1.0)


def test_too_few_images_are_told_with_how_many_more_it_takes_and_nothing_is_answered() -> None:
    sure = np.linspace(0.9999, 0.99999, 299)
    stated = state_error({"original": answers(sure[:200], np.zeros(200, bool))}, 0.01)
    assert (stated.kept, stated.limit) == (False, NEVER)
    assert stated.more == pytest.approx(100, abs=3)
    enough = state_error({"original": answers(sure, np.zeros(299, bool))}, 0.01)
    assert (enough.kept, enough.more) == (True, None)
    assert enough.conditions["original"].answered == 299
    assert enough.conditions["original"].upper <= 0.01
    # Even the most certain are wrong too often: no number of images would do.
    hopeless = state_error({"original": answers(np.linspace(0.5, 0.98, 500), np.arange(500) % 4 == 0)}, 0.01)
    assert (hopeless.kept, hopeless.more) == (False, None)
    nothing = state_error({"original": answers(np.full(500, -np.inf), np.zeros(500, bool))}, 0.01)
    assert not nothing.kept


def test_the_number_of_more_images_is_about_right() -> None:
    """With as many more images as were said, a promise can be kept in about half of the draws, and hardly with half."""
    rng = np.random.default_rng(3)

    def draw(n: int) -> Answers:
        risk = 0.2 * rng.random(n) ** 2
        return answers(1 - risk, rng.random(n) < risk)

    kept, fewer = [], []
    for _ in range(40):
        stated = state_error({"original": draw(250)}, 0.01)
        if not stated.kept and stated.more is not None:
            kept.append(state_error({"original": draw(250 + stated.more)}, 0.01).kept)
            fewer.append(state_error({"original": draw((250 + stated.more) // 2)}, 0.01).kept)
    assert len(kept) > 30
    assert 0.3 < np.mean(kept) < 0.95
    assert np.mean(fewer) < 0.5 * np.mean(kept)


def test_limits_are_tested_at_numbers_that_do_not_depend_on_the_answers() -> None:
    for n in (100, 299, 400, 800, 2000, 20_000):
        sequences = sequences_of(n, 1.0, 0.01, 0.05)
        assert len(sequences) <= 3
        alpha = 0.05 / max(1, len(sequences))
        for sequence in sequences:
            assert sequence == sorted(set(sequence))
            assert sequence[-1] == n
            for rank in sequence[:-1]:  # one more wrong answer is allowed from here on
                assert most_wrong(rank, 0.01, alpha) == most_wrong(rank - 1, 0.01, alpha) + 1
    assert sequences_of(298, 1.0, 0.01, 0.05) == []
    assert sequences_of(1000, 4.0, 0.01, 0.05) == []


def test_limits_have_six_decimals_and_are_below_1() -> None:
    confidence = np.full(400, 1.0)
    stated = state_error({"original": answers(confidence, np.zeros(400, bool))}, 0.01)
    assert stated.limit == 0.999999
    rng = np.random.default_rng(0)
    stated = state_error({"original": answers(rng.random(400), np.zeros(400, bool))}, 0.01)
    assert stated.limit == round(stated.limit, 6)


def test_mapies_controller_accepts_the_same_limits() -> None:
    """MAPIE's p-value is Hoeffding-Bentkus, e times ours or less exact, so it accepts no limit that we refuse."""
    from mapie.risk_control import BinaryClassificationController, BinaryRisk, FWERFixedSequenceTesting, control_fwer

    rng = np.random.default_rng(5)
    confidence = rng.random(3000)
    wrong = rng.random(3000) < 0.3 * (1 - confidence) ** 2
    stated = state_error({"original": answers(confidence, wrong)}, 0.02)
    assert stated.kept
    # «Positive» stands for answered, and the label for wrong.
    risk = BinaryRisk(
        risk_occurrence=lambda y_true, y_pred: y_true,
        risk_condition=lambda y_true, y_pred: y_pred == 1,
        higher_is_better=False,
    )
    order = np.sort(confidence)[::-1]
    limits = np.array([order[rank - 1] for sequence in sequences_of(3000, 1.0, 0.02, 0.05)[:1] for rank in sequence])
    controller = BinaryClassificationController(
        predict_function=lambda x: np.stack([1 - x[:, 0], x[:, 0]], axis=1),
        risk=risk,
        target_level=0.02,
        confidence_level=0.95,
        list_predict_params=limits,
        best_predict_param_choice="predicted_positive_fraction",
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the measured risk rises and falls by chance
        controller.calibrate(confidence.reshape(-1, 1), wrong.astype(int))
    accepted = np.asarray(controller.valid_predict_params, float)
    assert len(accepted)
    assert min(accepted) >= stated.limit - 1e-6
    counts = [(int((confidence >= limit).sum()), int((wrong & (confidence >= limit)).sum())) for limit in limits]
    ours = np.array([p_value(w, m, 0.02) for m, w in counts])
    assert (np.ravel(controller.p_values) >= ours - 1e-12).all()
    # With our p-values, its fixed-sequence testing accepts what ours does.
    theirs = control_fwer(ours, 0.05, fwer_method=FWERFixedSequenceTesting(n_starts=1))
    ends = np.flatnonzero(ours > 0.05)
    assert sorted(np.ravel(theirs).tolist()) == list(range(ends[0] if len(ends) else len(ours)))
