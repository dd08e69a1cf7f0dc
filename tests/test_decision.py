"""The rule from probabilities to a prediction: exactly at each limit, and on either side of it."""

from __future__ import annotations

import numpy as np
import pytest

from facevalue import decision
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing

HAIR = 1e-9


def card(**changes: object) -> ModelCard:
    limits = Abstention(confidence=0.625, novelty=2.0)
    fields = {"classes": ("face", "not-face"), "positive": "face", "threshold": 0.25, "abstention": limits, **changes}
    return ModelCard(preprocessing=Preprocessing(), network=NetworkFacts(name="small-cnn"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("p", "label"), [(0.25, "face"), (0.25 - HAIR, "not-face"), (0.25 + HAIR, "face")])
def test_the_threshold_itself_is_the_positive_class(p: float, label: str) -> None:
    found = decision.prediction_of(card(abstention=Abstention(confidence=0.0)), np.array([p, 1 - p]), 0.0)
    assert (found.label, found.leaning, found.threshold) == (label, label, 0.25)


@pytest.mark.parametrize(
    ("p", "novelty", "reasons"),
    [
        (0.625, 2.0, ()),  # at both limits it answers
        (0.625 - HAIR, 2.0, ("uncertain",)),
        (0.625, 2.0 + HAIR, ("novel",)),
        (0.625 - HAIR, 2.0 + HAIR, ("novel", "uncertain")),
    ],
)
def test_at_its_limits_it_answers_and_beyond_them_it_abstains(
    p: float, novelty: float, reasons: tuple[str, ...]
) -> None:
    found = decision.prediction_of(card(), np.array([p, 1 - p]), novelty)
    assert found.reasons == reasons
    assert found.label == (None if reasons else "face")
    assert found.leaning == "face"
    assert found.novelty == pytest.approx(novelty / 2.0, rel=1e-12)  # in parts of its limit


def test_the_confidence_is_that_of_the_predicted_class() -> None:
    """With a threshold of 0.25 the predicted class may be the less probable one, and then it is uncertain."""
    found = decision.prediction_of(card(), np.array([0.3, 0.7]), 0.0)
    assert (found.label, found.leaning, found.reasons) == (None, "face", ("uncertain",))


def test_without_a_limit_nothing_is_novel() -> None:
    found = decision.prediction_of(card(abstention=Abstention(confidence=0.6)), np.array([0.9, 0.1]), 1e9)
    assert (found.label, found.novelty) == ("face", None)


def test_heat_has_a_maximum_of_one_and_stays_zero_where_nothing_supports_the_class() -> None:
    heat = np.array([[0.0, 2.0], [4.0, 1.0]], np.float32)
    found = decision.prediction_of(card(), np.array([0.9, 0.1]), 0.0, heat)
    np.testing.assert_array_equal(found.heat, heat / 4)
    found = decision.prediction_of(card(), np.array([0.9, 0.1]), 0.0, np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(found.heat, np.zeros((2, 2)))
