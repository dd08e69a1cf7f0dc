"""Findings from the confusion matrix that accuracy hides: against closed forms and by counting."""

import numpy as np
import pytest
from scipy.stats import binomtest

from facevalue.evaluation.confusion_checks import exchanged, never_predicted, no_better_than_chance

TWO = ("rare", "usual")


def test_a_class_that_is_never_predicted() -> None:
    found = never_predicted(TWO, np.array([[0, 9], [0, 90]]))
    assert [warning.code for warning in found] == ["class-never-predicted"]
    assert [warning.text for warning in found] == [
        "class 'rare' is never predicted: the model predicts another class on all 9 images of it; accuracy alone "
        "hides that, so read recall and balanced accuracy"
    ]


def test_many_classes_take_one_line() -> None:
    classes = [f"c{i:03d}" for i in range(200)]
    table = np.zeros((200, 200), np.int64)
    table[:, 0] = 5
    silent = never_predicted(classes, table)
    assert len(silent) == 1
    assert "'c001', 'c002', 'c003' and 196 more are never predicted" in silent[0].text
    assert "all 995 images of them" in silent[0].text


def test_a_class_that_is_predicted_but_never_correctly() -> None:
    found = never_predicted(("a", "b", "c"), np.array([[0, 5, 0], [3, 40, 0], [0, 0, 9]]))
    assert [warning.text for warning in found] == [
        "class 'a' is never recognised: every prediction for or on it is wrong"
    ]


def test_worse_than_predicting_one_class_for_all_images() -> None:
    (found,) = never_predicted(TWO, np.array([[5, 4], [20, 70]]))
    assert found.text == "the model is right on 75 of 99 images; always predicting 'usual' is right on 90"


@pytest.mark.parametrize(
    "table", [[[9, 0], [0, 90]], [[5, 4], [3, 87]], [[5, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 8], [1, 89]]]
)
def test_no_finding_for_a_good_confusion_matrix(table: list[list[int]]) -> None:
    assert never_predicted(TWO, np.array(table)) == []
    assert exchanged(TWO, np.array(table)) is None


@pytest.mark.parametrize(("right", "wrong"), [(1, 27), (3, 25), (5, 23), (8, 20), (12, 16), (14, 14), (27, 1)])
def test_two_exchanged_classes_by_a_sign_test(right: int, wrong: int) -> None:
    table = np.array([[right // 2, wrong - wrong // 2], [wrong // 2, right - right // 2]])
    found = exchanged(("a", "b"), table)
    assert (found is not None) == (binomtest(wrong, right + wrong, 0.5, alternative="greater").pvalue < 0.01)
    if found is not None:
        assert found.text.startswith(
            f"labels seem exchanged: {right} of 28 predictions are right as labelled, {wrong} if"
        )
        assert "'a' is mostly predicted as 'b'" in found.text


def test_two_of_four_classes_exchanged() -> None:
    table = np.diag([20, 0, 20, 0]) + 1
    table[1, 3] = table[3, 1] = 20
    found = exchanged(("a", "b", "c", "d"), table)
    assert found is not None
    assert "'b' is mostly predicted as 'd', 'd' is mostly predicted as 'b'" in found.text
    assert "'a'" not in found.text


def test_chance_seldom_looks_like_an_exchange() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.multinomial(40, [0.25] * 4).reshape(2, 2) for _ in range(400)]
    assert np.mean([exchanged(("a", "b"), table) is not None for table in tables]) < 0.03


def test_chance_does_not_look_like_an_exchange_of_many_classes() -> None:
    """Of so many assignments one always fits better by chance."""
    names, seen = [f"c{i}" for i in range(200)], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = np.zeros((200, 200), np.int64)
        np.add.at(table, (rng.integers(0, 200, 400), rng.choice(200, 400, p=rng.dirichlet(np.full(200, 0.2)))), 1)
        seen.append(exchanged(names, table) is not None)
    assert np.mean(seen) <= 0.05


def test_an_exchange_among_many_classes_is_found() -> None:
    table = 3 * np.eye(50, dtype=np.int64)
    table[:10] = np.roll(table[:10], 1, axis=0)
    found = exchanged([f"c{i}" for i in range(50)], table)
    assert found is not None
    assert "'c0' is mostly predicted as 'c9'" in found.text


def test_no_better_than_chance_has_its_rate() -> None:
    rng = np.random.default_rng(1)
    by_chance = [no_better_than_chance(rng.multinomial(40, [0.25] * 4).reshape(2, 2)) for _ in range(100)]
    assert np.mean(by_chance) > 0.9
    assert not no_better_than_chance(np.array([[18, 2], [3, 17]]))
    assert no_better_than_chance(np.array([[0, 10], [0, 10]]))
