"""The bound on false positives holds in as many draws as promised, in every source and with groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from facevalue.evaluation.false_positives import POOLED, bound_false_positives, sources_to_bound
from facevalue.evaluation.stated_error import NEVER

NONE = {"original": (np.zeros(0), np.zeros(0, np.int64))}


def scores(p: np.ndarray, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    return p, np.arange(len(p)) if groups is None else groups


def test_the_threshold_is_the_order_statistic_of_the_umbrella_algorithm() -> None:
    rng = np.random.default_rng(0)
    p = np.sort(rng.random(1000))
    found = bound_false_positives({"": {"original": scores(p)}}, NONE, 0.01)
    # Tong, Feng & Li 2018, proposition 1: the smallest k whose probability of violation is at most 5 %.
    violation = [binom.sf(k - 1, 1000, 0.99) for k in range(1, 1001)]
    k = next(k for k in range(1, 1001) if violation[k - 1] <= 0.05)
    assert p[k - 1] < found.upper <= p[k - 1] + 1e-6
    assert found.sources[""]["original"].reached == 1000 - k
    assert found.sources[""]["original"].upper <= 0.01


def test_false_positives_stay_rare_in_1000_draws_in_every_source() -> None:
    """Negatives of two sources: uniform, and reaching higher. The rate above a threshold is known exactly."""
    rng = np.random.default_rng(0)
    broken = {"a": 0, "b": 0}
    for _ in range(1000):
        negatives = {"a": {"o": scores(rng.random(400))}, "b": {"o": scores(rng.random(350) ** 0.5)}}
        upper = bound_false_positives(negatives, NONE, 0.02).upper
        broken["a"] += 1 - upper > 0.02
        broken["b"] += 1 - upper**2 > 0.02
    assert broken["a"] == 0  # b's threshold is higher
    assert broken["b"] / 1000 <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
    # The 98 % quantile itself, without the order statistic, is too low half of the time.
    plain = [1 - np.quantile(rng.random(400), 0.98) > 0.02 for _ in range(300)]
    assert np.mean(plain) > 0.4


def test_a_group_counts_once_with_its_highest_score() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(400), 3)
    p = rng.random(1200)
    found = bound_false_positives({"": {"o": scores(p, groups)}}, NONE, 0.02)
    highest = np.sort(p.reshape(400, 3).max(1))[::-1]
    part = found.sources[""]["o"]
    assert (part.n, part.groups) == (1200, 400)
    assert part.reached == (highest >= found.upper).sum() > 0


def test_two_thresholds_are_bounded_on_both_sides() -> None:
    rng = np.random.default_rng(2)
    negatives = {"": {"o": scores(rng.beta(1, 5, 600))}}
    positives = {"o": scores(rng.beta(5, 1, 600))}
    found = bound_false_positives(negatives, positives, 0.02)
    assert found.kept
    assert (negatives[""]["o"][0] >= found.upper).mean() < 0.02
    assert found.lower is not None
    assert (positives["o"][0] <= found.lower).mean() < 0.02
    assert found.positives["o"].upper <= 0.02


def test_where_a_source_is_too_small_no_image_is_called_positive_and_it_is_told_what_lacks() -> None:
    rng = np.random.default_rng(0)
    found = bound_false_positives(
        {"a": {"o": scores(rng.random(300))}, "b": {"o": scores(rng.random(200))}}, NONE, 0.01
    )
    assert (found.kept, found.upper, found.more) == (False, NEVER, {"b": 99})
    few = bound_false_positives({"": {"o": scores(rng.random(400))}}, {"o": scores(rng.random(20))}, 0.01)
    assert (few.kept, few.lower, few.positives) == (True, None, {})
    certain = bound_false_positives({"": {"o": scores(np.ones(400))}}, NONE, 0.01)
    assert (certain.kept, certain.upper, certain.more) == (False, NEVER, {})


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_small_sources_are_joined_and_those_too_small_together_are_counted_with_all(rate: float) -> None:
    n = 299 if rate == 0.01 else 59
    large = ["a"] * n + ["b"] * n

    def bounded(*others: str) -> dict[str, int]:
        sources = [*large, *others]
        found = sources_to_bound(sources, np.arange(len(sources)), rate)
        return {name: int(mask.sum()) for name, mask in found.items()}

    assert bounded() == {"a": n, "b": n}
    assert bounded(*["c"] * (n - 1), *["d"] * (n - 1), "", "") == {"a": n, "b": n, POOLED: 2 * n}
    assert bounded(*["c"] * 5) == {"a": n, "b": n, "": 2 * n + 5}
    assert {name: mask.all() for name, mask in sources_to_bound([], np.arange(n), rate).items()} == {"": True}
    # Images of one group count once.
    assert set(sources_to_bound(large, np.arange(2 * n) // 2, rate)) == {""}
