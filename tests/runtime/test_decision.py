"""The one rule for answers and abstentions, on the card's plain numbers."""

from __future__ import annotations

import numpy as np
import pytest

from facevalue import decision
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing


def card(limits: Abstention, threshold: float = 0.5) -> ModelCard:
    return ModelCard(
        classes=("real", "ai"),
        positive="ai",
        threshold=threshold,
        preprocessing=Preprocessing(size=32),
        network=NetworkFacts(name="small-resnet"),
        abstention=limits,
    )


@pytest.mark.parametrize(
    ("limits", "of_ai", "label"),
    [
        (Abstention(upper=0.9, lower=0.2), 0.95, "ai"),
        (Abstention(upper=0.9, lower=0.2), 0.9, "ai"),
        (Abstention(upper=0.9, lower=0.2), 0.89, None),
        (Abstention(upper=0.9, lower=0.2), 0.3, None),
        (Abstention(upper=0.9, lower=0.2), 0.15, "real"),
        (Abstention(confidence=0.9, upper=0.7, lower=0.4), 0.8, None),
        (Abstention(confidence=0.9, upper=0.7, lower=0.4), 0.2, None),
        (Abstention(confidence=0.6, upper=0.9), 0.3, "real"),
        (Abstention(upper=2.0, lower=0.2), 1.0, None),
        (Abstention(upper=2.0, lower=0.2), 0.1, "real"),
        (Abstention(confidence=2.0), 1.0, None),
    ],
)
def test_each_side_has_its_own_limit(limits: Abstention, of_ai: float, label: str | None) -> None:
    found = decision.prediction_of(card(limits), np.array([1 - of_ai, of_ai]), 0.0)
    assert found.label == label
    assert found.reasons == (() if label else ("uncertain",))
    assert found.leaning == ("ai" if of_ai >= 0.5 else "real")


def test_one_image_is_answered_as_in_many() -> None:
    rng = np.random.default_rng(0)
    own = card(Abstention(confidence=0.7, novelty=0.8, upper=0.9, lower=0.25), threshold=0.6)
    of_ai, novelty = rng.random(300), rng.random(300)
    p = np.stack([1 - of_ai, of_ai], axis=1)
    decided = decision.decide(p, 1, 0.6)
    masks = decision.abstentions(own.abstention, p[np.arange(300), decided], novelty, decided == 1)
    for i in range(300):
        single = decision.prediction_of(own, p[i], float(novelty[i]))
        assert set(single.reasons) == {reason for reason, mask in masks.items() if mask[i]}


def test_a_limit_is_compared_in_double_precision() -> None:
    """As JavaScript does: in single precision 0.999999 would be rounded down, and this probability answered."""
    just_below = np.float32(0.99999897)
    assert float(just_below) < 0.999999
    assert just_below >= np.float32(0.999999)
    leaning = np.array([just_below], np.float32)
    assert decision.abstentions(Abstention(confidence=0.999999), leaning, np.zeros(1))["uncertain"].tolist() == [True]
