"""Which novelty score is kept, and how many images of new groups its limit keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.evaluation.calibration import Unseen, calibrated
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.novelty import NoveltyData, clusters_of, out_of_fold, with_novelty
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.networks import build
from facevalue.models.novelty import SCORES, KnownImages

D = 16


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Its head tells two classes apart by the first two features."""
    torch.manual_seed(0)
    body = build("small-resnet", 2, 16, {"widths": [8, D]})
    facts = NetworkFacts(name="small-resnet", options={"widths": [8, D]}, pooled=True)
    made = Classifier(body, ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=16), network=facts)).eval()
    with torch.no_grad():
        made.body.head.weight.copy_(torch.eye(D)[:2] * 3)
        made.body.head.bias.zero_()
    return made


def groups_of(rng: np.random.Generator, n: int, each: int) -> tuple[Features, np.ndarray]:
    """``n`` groups of ``each`` images; the images of a group are near one another, and groups differ far more."""
    y = np.arange(n) % 2
    centres = np.zeros((n, D))
    centres[np.arange(n), y] = 4
    centres += rng.normal(0, 0.6, (n, D))
    x = np.repeat(centres, each, 0) + rng.normal(0, 0.1, (n * each, D))
    return Features(torch.from_numpy(x).float(), np.repeat(y, each)), np.repeat(np.arange(n), each).astype(str)


def strangers(rng: np.random.Generator, sets: int = 3) -> dict[str, torch.Tensor]:
    """Around axes that no class has."""
    return {
        f"set {i}": torch.from_numpy(5 * np.eye(D)[4 + i] + rng.normal(0, 0.3, (20, D))).float() for i in range(sets)
    }


def kept(classifier: Classifier, features: Features) -> float:
    limit = classifier.card.abstention.novelty
    assert limit is not None
    return float((features.novelty(classifier) <= limit).mean())


def limited(classifier: Classifier, held_out: Features, unseen: Unseen | None = None) -> Classifier:
    return calibrated(classifier, CalibrationSet(held_out), CalibrationChoices(), unseen)


def test_new_groups_are_kept_as_often_as_promised_and_strangers_refused(classifier: Classifier) -> None:
    promised, naive, refused = [], [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        train, groups = groups_of(rng, 40, 10)
        held_out, _ = groups_of(rng, 6, 10)
        new, _ = groups_of(rng, 60, 5)
        known = strangers(rng)
        made, unseen = with_novelty(classifier, train, NoveltyData(groups=groups, strangers=known), held_out)
        promised.append(kept(limited(made, held_out, unseen), new))
        naive.append(kept(limited(made, held_out), new))
        other = Features(5 * torch.eye(D)[8:10] + 0.1, np.zeros(2, np.int64))
        refused.append(1 - kept(limited(made, held_out, unseen), other))
    assert np.mean(promised) == pytest.approx(0.95, abs=0.03)
    assert np.min(promised) > 0.85
    assert np.mean(refused) == 1
    # Six groups of calibration images alone promise too much.
    assert np.mean(naive) < np.mean(promised) - 0.03


def test_hidden_groups_get_room_only_as_far_as_no_stranger_needs_it(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    train, _ = groups_of(rng, 40, 10)
    held_out, _ = groups_of(rng, 40, 1)
    new, _ = groups_of(rng, 200, 1)
    each = np.arange(len(train)).astype(str)  # nobody has said which images belong together
    made, unseen = with_novelty(classifier, train, NoveltyData(groups=each, strangers=strangers(rng)), train)
    assert kept(limited(made, train), new) < 0.2
    assert kept(limited(made, train, Unseen(unseen.scores)), new) < 0.3
    assert kept(limited(made, train, unseen), new) > 0.85
    near = {"near": held_out.x}
    among, without_room = with_novelty(classifier, train, NoveltyData(groups=each, strangers=near), train)
    assert without_room.room < unseen.room
    assert kept(limited(among, train, without_room), held_out) < 0.2


def test_the_score_that_answers_fewest_strangers_is_kept(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    train, groups = groups_of(rng, 60, 4)
    held_out, _ = groups_of(rng, 60, 2)
    quiet = strangers(rng)
    # Strangers that speak for a class as loudly as its images do: the logits cannot tell them.
    loud = {name: x + 4 * torch.eye(D)[0] for name, x in quiet.items()}
    for known, order in ((quiet, ("neighbours", "contrast")), (loud, ("energy", "neighbours"))):
        made, _ = with_novelty(classifier, train, NoveltyData(groups, known, order), held_out)
        facts = made.card.novelty
        assert list(facts.compared) == list(order)
        assert facts.strangers == dict.fromkeys(known, 20)
        assert facts.compared["neighbours"] == 0
        # The first of equals, and the better one where they differ.
        assert facts.score == made.novelty_score.name == "neighbours"
    assert facts.compared["energy"] > 0.5


def test_no_image_is_scored_by_a_score_that_knows_its_group(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    train, groups = groups_of(rng, 30, 5)
    known = KnownImages.of(train.x, train.logits(classifier), train.y, train.x[:0])
    apart = out_of_fold(classifier, SCORES["neighbours"], known, groups)
    mixed = out_of_fold(classifier, SCORES["neighbours"], known, np.arange(len(train)))
    assert len(apart) == len(mixed) == len(train)
    assert np.median(apart) > 3 * np.median(mixed)
    single = out_of_fold(classifier, SCORES["neighbours"], known, train.y)  # a class is one group
    assert len(single) == 0


def test_clusters_lie_in_one_class_and_keep_groups_together(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    train, groups = groups_of(rng, 10, 40)
    known = KnownImages.of(train.x, train.logits(classifier), train.y, train.x[:0])
    found = clusters_of(known)
    assert len(np.unique(found)) <= 10
    assert all(len(set(train.y[found == c])) == 1 for c in np.unique(found))
    together = [np.bincount(found[groups == g]).max() / 40 for g in np.unique(groups)]
    assert np.mean(together) > 0.9
