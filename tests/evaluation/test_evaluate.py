"""A report's figures against scikit-learn and by hand."""

import msgspec
import numpy as np
import pytest
from sklearn import metrics as peer

from facevalue.evaluation.figures import figures
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.evidence.records import Evaluation
from facevalue.images.preprocessing import Preprocessing


def card(k: int, **fields: object) -> ModelCard:
    names = tuple("abcdef"[:k])
    base = {"classes": names, "preprocessing": Preprocessing(size=32), "network": NetworkFacts(name="small-resnet")}
    return ModelCard(**(base | {"positive": names[-1] if k == 2 else None} | fields))  # type: ignore[arg-type]


def drawn(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(k, 0.5), n)
    return (p.cumsum(1) > rng.random((n, 1))).argmax(1), p


@pytest.mark.parametrize("k", [2, 4])
def test_the_figures_equal_scikit_learns(k: int) -> None:
    y, p = drawn(500, k, 0)
    report = figures(card(k), y, p, np.zeros(500))
    decided = p.argmax(1)
    assert report.accuracy == pytest.approx(peer.accuracy_score(y, decided))
    assert report.balanced_accuracy == pytest.approx(peer.balanced_accuracy_score(y, decided))
    assert np.array_equal(report.confusion, peer.confusion_matrix(y, decided, labels=range(k)))
    assert report.nll == pytest.approx(peer.log_loss(y, p, labels=range(k)))
    area = peer.roc_auc_score(y, p[:, 1]) if k == 2 else peer.roc_auc_score(y, p, multi_class="ovr")
    assert report.auroc == pytest.approx(area)
    assert report.accuracy_ci[0] < report.accuracy < report.accuracy_ci[1]
    assert report.balanced_accuracy_ci[0] < report.balanced_accuracy < report.balanced_accuracy_ci[1]
    assert report.auroc_ci is not None
    assert report.auroc_ci[0] < area < report.auroc_ci[1]
    assert report.ece_ci[0] <= report.ece <= report.ece_ci[1]
    assert set(report.recall) == set(report.classes)


def test_intervals_do_not_collapse_at_a_perfect_score() -> None:
    y = np.array([0, 1] * 20)
    report = figures(card(2), y, np.eye(2)[y] * 0.9 + 0.05, np.zeros(40))
    assert report.accuracy == report.auroc == report.balanced_accuracy == 1
    assert report.auroc_ci is not None
    assert max(report.accuracy_ci[0], report.balanced_accuracy_ci[0], report.auroc_ci[0]) < 0.96


def test_the_threshold_of_the_card_decides() -> None:
    y, p = np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.35, 0.65], [0.1, 0.9]])
    assert figures(card(2), y, p, np.zeros(3)).accuracy == 1
    assert figures(card(2, threshold=0.7), y, p, np.zeros(3)).confusion == ((1, 0), (1, 1))


def test_abstentions_are_counted_separately_and_do_not_change_the_accuracy() -> None:
    y = np.array([0, 0, 1, 1, 1])
    p = np.array([[0.9, 0.1], [0.45, 0.55], [0.1, 0.9], [0.42, 0.58], [0.05, 0.95]])
    novelty = np.array([0.5, 0.5, 3.0, 3.0, 0.5])
    report = figures(card(2, abstention=Abstention(confidence=0.6, novelty=2.0)), y, p, novelty)
    assert report.accuracy == pytest.approx(0.8)
    assert (report.abstained, report.reasons) == (3, {"novel": 2, "uncertain": 2})
    assert (report.coverage, report.accuracy_answered) == (pytest.approx(0.4), 1.0)


def test_a_missing_or_small_class_is_a_warning() -> None:
    report = figures(card(2), np.zeros(5, int), np.tile([0.9, 0.1], (5, 1)), np.zeros(5))
    assert report.auroc is None
    few, none = report.warnings
    assert (few.code, few.values) == ("few-images-of-class", {"label": "a", "n": 5})
    assert "only 5 images of 'a'" in few.text
    assert (none.code, none.text) == ("no-image-of-class", "no image of 'b'")


def test_a_report_survives_json() -> None:
    y, p = drawn(50, 3, 1)
    report = figures(card(3), y, p, np.zeros(50))
    assert msgspec.json.decode(msgspec.json.encode(report), type=Evaluation) == report
