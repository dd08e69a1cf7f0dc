"""A model that needs what a browser cannot do is refused, and every new field of the card must be thought of."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from facevalue.errors import UsageError
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts, Stability
from facevalue.evidence.gate_facts import GateFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.types import Reason
from facevalue.web import limits
from facevalue.web.limits import FOLLOWED, WITHOUT_EFFECT, expect_browser
from facevalue.web.page import STATIC

CARD = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(), network=NetworkFacts(name="small-cnn"))


@pytest.mark.parametrize("record", [Abstention, ModelCard, Preprocessing])
def test_every_field_is_followed_or_without_effect(record: type[msgspec.Struct]) -> None:
    """A new field fails here: say in web/limits.py whether static/ follows it; else a model that uses it is refused."""
    names = {field.name for field in msgspec.structs.fields(record)}
    refused = {Preprocessing: {"jpeg_gap", "face_margin"}, ModelCard: {"gate", "stability"}}.get(record, set())
    assert names == FOLLOWED[record] | WITHOUT_EFFECT[record] | refused


def test_every_reason_is_decided_on_the_page() -> None:
    rule = (STATIC / "decision.js").read_text("utf-8")
    refused = {"no_face", "gate_unsure", "unstable"}  # of models with a gate or with stable answers
    assert all(f'"{reason}"' in rule for reason in set(get_args(Reason)) - refused)


def test_a_gate_and_stable_answers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"uses face_margin .*serve this model"):
        gate = GateFacts(detector="yunet", sha256="", licence="MIT")
        expect_browser(CARD.changed(preprocessing=Preprocessing(face_margin=0.3), gate=gate))
    with pytest.raises(UsageError, match=r"uses stability .*serve this model"):
        expect_browser(CARD.changed(stability=Stability(inputs=4)))


def test_what_a_browser_can_is_accepted() -> None:
    expect_browser(CARD)
    expect_browser(CARD.changed(abstention=Abstention(confidence=0.7, novelty=3.0, target=0.99, n=40), threshold=0.2))


def test_jpegs_read_at_a_reduced_size_are_refused() -> None:
    with pytest.raises(UsageError, match="jpeg_gap is 2"):
        expect_browser(CARD.changed(preprocessing=Preprocessing(jpeg_gap=2)))


def test_an_unknown_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits.FOLLOWED, Abstention, {"confidence"})
    expect_browser(CARD)  # it is not used
    with pytest.raises(UsageError, match=r"uses novelty .*serve this model"):
        expect_browser(CARD.changed(abstention=Abstention(novelty=1.0)))
