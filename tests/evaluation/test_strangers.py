"""The report on strangers against scikit-learn, and its warnings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation.strangers import evaluate_strangers
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.networks import build
from facevalue.models.novelty import SCORES, KnownImages


def images(labels: list[str]) -> ImageDataset:
    arrays = np.random.default_rng(0).integers(0, 256, (len(labels), 16, 16, 3), dtype=np.uint8)
    return ImageDataset.from_arrays(arrays, labels).with_preprocessing(Preprocessing(size=16))


def classifier_and_features() -> tuple[Classifier, Features, Features]:
    """A classifier without limits, features of 40 own images, and of 40 strangers, half of them like class a."""
    torch.manual_seed(0)
    body = build("small-resnet", 2, 16, {"widths": [8, 16]})
    facts = NetworkFacts(name="small-resnet", options={"widths": [8, 16]}, pooled=True)
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=16), network=facts, positive="b")
    classifier = Classifier(body, card).eval()
    with torch.no_grad():
        classifier.body.head.weight.copy_(torch.eye(16)[:2] * 3)
        classifier.body.head.bias.zero_()
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    own_x = torch.from_numpy(4 * np.eye(16)[y] + rng.normal(0, 0.5, (40, 16))).float()
    far_x = torch.from_numpy(
        np.concatenate([4 * np.eye(16)[[0] * 20], 4 * np.eye(16)[[5] * 20]]) + rng.normal(0, 0.55, (40, 16))
    ).float()
    known = KnownImages.of(own_x, classifier.body.head(own_x).detach(), y, own_x[:0])
    classifier = classifier.changed(novelty_score=SCORES["neighbours"].fitted(known))
    own, far = Features(own_x, y), Features(far_x, np.zeros(40, np.int64))
    return classifier, own, far


def test_shares_and_areas_are_those_of_the_rule() -> None:
    classifier, own, far = classifier_and_features()
    limit = float(np.quantile(own.novelty(classifier), 0.9))
    classifier = classifier.changed(classifier.card.changed(abstention=Abstention(novelty=limit, confidence=0.6)))
    dataset, strangers = images(["a", "b"] * 20), images(["near"] * 20 + ["other"] * 20)
    report = evaluate_strangers(classifier, dataset, strangers, own_features=own, stranger_features=far)

    p, novelty = far.probabilities(classifier), far.novelty(classifier)
    answered = (novelty <= limit) & (p.max(1) >= 0.6)
    for one, rows in zip(report.sets, (slice(0, 20), slice(20, 40)), strict=True):
        assert one.n == 20
        assert one.answered == pytest.approx(answered[rows].mean())
        assert one.answered_ci[0] <= one.answered <= one.answered_ci[1]
        together = np.concatenate([own.novelty(classifier), novelty[rows]])
        assert one.auroc == pytest.approx(roc_auc_score([0] * 40 + [1] * 20, together))
        assert sum(one.answered_as.values()) == answered[rows].sum()
    near, other = report.sets
    assert 0.3 < near.answered < 1
    assert near.answered_as == {"a": round(20 * near.answered)}
    assert other.answered == 0
    assert [w.values["set"] for w in report.warnings] == ["near"]
    assert report.answered_own == pytest.approx(0.9, abs=0.05)
    assert report.n == 40
    assert report.to_frame()["name"].tolist() == ["near", "other"]


def test_both_thresholds_of_a_bound_on_false_positives_count() -> None:
    classifier, own, far = classifier_and_features()
    dataset, strangers = images(["a", "b"] * 20), images(["near"] * 20 + ["other"] * 20)
    p = far.probabilities(classifier)
    upper, lower = 0.9, float(np.median(p[:20, 1]))  # half of the images like a are answered
    assert lower < 0.4
    limits = Abstention(confidence=0.6, upper=upper, lower=lower)
    bounded = classifier.changed(classifier.card.changed(abstention=limits))
    report = evaluate_strangers(bounded, dataset, strangers, own_features=own, stranger_features=far)
    answered = (p[:, 1] >= upper) | (p[:, 1] <= lower)
    assert [one.answered for one in report.sets] == [answered[:20].mean(), answered[20:].mean()]
    assert report.sets[0].answered == 0.5
