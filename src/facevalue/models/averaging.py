"""An ensemble of classifiers: the average of their calibrated probabilities, in one graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.models.classifier import Classifier
from facevalue.models.networks import build
from facevalue.models.networks.base import count_parameters
from facevalue.models.networks.ensemble import Ensemble
from facevalue.models.novelty.mahalanobis import Mahalanobis
from facevalue.models.randomness import own_random_state


@own_random_state
def averaged(members: Sequence[Classifier]) -> Classifier:
    """A classifier whose probabilities are the average of the members' calibrated probabilities.

    Its logits are the logarithm of the average and its temperature is 1. Its novelty is the root mean square of the
    members' novelties, each divided by that member's limit: above 1 the image counts as ``novel``. The limit on the
    confidence is not set here.
    """
    first = members[0].card
    k, size = len(first.classes), first.preprocessing.size
    options = {"members": [_specification(m, first.classes) for m in members]}
    body = build("ensemble", k, size, options)
    assert isinstance(body, Ensemble)
    for part, member in zip(body.together, members, strict=True):
        state = {n: v for n, v in member.state_dict().items() if n.startswith("body.") or part.limit is not None}
        part.load_state_dict(state)
    licences = sorted({m.card.network.licence for m in members} - {None})  # type: ignore[type-var]
    facts = NetworkFacts(
        name="ensemble",
        options=options,
        parameters=count_parameters(body),
        features=body.head.in_features,
        weights="members",
        licence=", ".join(map(str, licences)) or None,
        pooled=body.pooled,
        batch=body.batch,
    )
    thresholds = {m.card.threshold for m in members if m.card.positive == first.positive}
    same_threshold = len(thresholds) == 1 and all(m.card.positive == first.positive for m in members)
    card = ModelCard(
        classes=first.classes,
        positive=first.positive,
        preprocessing=first.preprocessing,
        gate=first.gate,
        network=facts,
        threshold=first.threshold if same_threshold else 0.5,
        abstention=Abstention(novelty=1.0 if body.novelties else None),
        provenance=Provenance(seed=first.provenance.seed),
    )
    return Classifier(body, card, gate=members[0].gate).eval().changed(novelty_score=_joint_novelty(body))


def _joint_novelty(body: Ensemble) -> Mahalanobis:
    """The root mean square of the first ``body.novelties`` features."""
    d, m, k = body.head.in_features, body.novelties, body.head.out_features
    score = Mahalanobis.unfitted(k, d)
    if not m:
        return score
    rank = score.scale.shape[0]
    score.basis[range(m), range(m)] = 1
    score.scale.copy_(torch.full((rank,), (m / d) ** 0.5))
    return score


def _specification(member: Classifier, classes: tuple[str, ...]) -> dict[str, Any]:
    card, score = member.card, member.novelty_score
    return {
        "name": card.network.name,
        "options": card.network.options,
        "mean": list(card.network.mean),
        "std": list(card.network.std),
        "temperature": card.temperature,
        "calibration": {"method": card.calibration.method, "parameters": dict(card.calibration.parameters)},
        "novelty": card.abstention.novelty,
        "score": {"name": score.name, "shapes": score.shapes},
        "order": None if card.classes == classes else [card.classes.index(c) for c in classes],
    }
