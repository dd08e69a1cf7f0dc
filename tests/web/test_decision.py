"""The page's decision rule is decision.py's, also at the limits themselves."""

from __future__ import annotations

import base64
from typing import Any, get_args

import numpy as np
import pytest
from selenium import webdriver

from facevalue import decision
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.types import Prediction, Reason

from .browsing import NEEDED, run

pytestmark = NEEDED

PROGRAM = """
const { predictionOf } = await import("/decision.js");
return values[0].map(({ card, p, novelty, heat }) => {
  const probabilities = new Float32Array(bytesOf(p).buffer);
  return predictionOf(card, { probabilities, novelty: new Float32Array(bytesOf(novelty).buffer)[0], heat }, "a.png");
});
"""


def base(values: Any) -> str:
    return base64.b64encode(np.asarray(values, np.float32).tobytes()).decode()


def card_of(classes: int, **fields: Any) -> ModelCard:
    return ModelCard(
        classes=tuple(f"c{i}" for i in range(classes)),
        preprocessing=Preprocessing(),
        network=NetworkFacts(name="small-cnn"),
        **fields,
    )


def case(rng: np.random.Generator) -> tuple[ModelCard, np.ndarray, float]:
    """A random card and outputs; half of the limits are one of the outputs, where > and >= differ."""
    classes = int(rng.integers(2, 5))
    p = rng.dirichlet(np.ones(classes)).astype(np.float32)
    if rng.random() < 0.1:
        p[:] = 1 / np.float32(classes)
    novelty = np.float32(rng.gamma(2))
    positive = int(rng.integers(2)) if classes == 2 and rng.random() < 0.8 else None
    at = float(p[positive or 0]) if rng.random() < 0.5 else rng.random()
    # Python's limits have double precision, the network's outputs single.
    nudge = float(rng.choice([0, 1e-9, -1e-9]))
    far = None if rng.random() < 0.2 else float(novelty + nudge) if rng.random() < 0.5 else rng.gamma(2)
    limits = Abstention(
        confidence=float(p.max() + nudge) if rng.random() < 0.5 else rng.random(),
        novelty=far,
        source=None if far is None or rng.random() < 0.5 else far * float(rng.choice([0.5, 1])),
        upper=None if positive is None or rng.random() < 0.7 else float(p[positive] + nudge),
        lower=None if positive is None or rng.random() < 0.7 else float(p[positive] * rng.choice([0.9, 1, 1.1])),
    )
    card = card_of(
        classes,
        positive=None if positive is None else f"c{positive}",
        threshold=at + nudge if positive is not None else 0.5,
        abstention=limits,
    )
    return card, p, float(novelty)


def as_json(prediction: Prediction) -> dict[str, Any]:
    heat = None if prediction.heat is None else prediction.heat.astype(float).tolist()
    plain = {**prediction.to_dict(), "heat": heat}
    # Of faces, which the page does not look for.
    return {name: value for name, value in plain.items() if name not in ("face", "faces", "box", "detail")}


def test_random_cards_and_outputs(scripts: webdriver.Chrome) -> None:
    cases = [case(np.random.default_rng(i)) for i in range(2000)]
    expected = [as_json(decision.prediction_of(card, p, novelty, path="a.png")) for card, p, novelty in cases]
    found = run(
        scripts,
        PROGRAM,
        [
            {
                "card": {
                    "classes": card.classes,
                    "positive": card.positive,
                    "threshold": card.threshold,
                    "abstention": card.abstention.to_dict(),
                },
                "p": base(p),
                "novelty": base([novelty]),
                "heat": None,
            }
            for card, p, novelty in cases
        ],
    )
    assert found == expected
    reasons = [tuple(one["reasons"]) for one in expected]
    near, unsure = [(), ("unknown_source",), ("novel",), ("novel", "unknown_source")], ("uncertain",)
    assert set(reasons) == {*near, *(why + unsure for why in near)}


@pytest.mark.parametrize("top", [3.7, 0.0])
def test_heat_is_scaled(top: float, scripts: webdriver.Chrome) -> None:
    heat = np.linspace(0, top, 12, dtype=np.float32).reshape(3, 4)
    card = card_of(2)
    wanted = as_json(decision.prediction_of(card, np.float32([0.3, 0.7]), 1.0, heat, "a.png"))
    plain = {"classes": card.classes, "positive": None, "threshold": 0.5, "abstention": card.abstention.to_dict()}
    (found,) = run(
        scripts,
        PROGRAM,
        [{"card": plain, "p": base([0.3, 0.7]), "novelty": base([1]), "heat": heat.astype(float).tolist()}],
    )
    assert found == wanted


def test_every_reason_has_its_words(scripts: webdriver.Chrome) -> None:
    program = 'const { isKnown } = await import("/text.js"); return values[0].map((one) => isKnown(`reasons.${one}`));'
    assert all(run(scripts, program, get_args(Reason)))
