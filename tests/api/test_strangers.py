"""Strangers in training, in evaluation, on the card, in policies and on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facevalue as fv
from facevalue.cli import main
from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy import check_policy
from facevalue.evidence.records import StrangerReport
from facevalue.models.classifier import Classifier


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    """A copy that a test may add evidence to."""
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of stripes, which are no faces."""
    folder = tmp_path_factory.mktemp("strangers") / "stripes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        row = np.repeat(rng.integers(0, 256, (1, 10, 3), dtype=np.uint8), 4, axis=1)
        Image.fromarray(np.repeat(row, 40, axis=0)).rotate(90 * (i % 2)).save(folder / f"{i:02}.png")
    return folder


def test_a_training_keeps_how_it_measures_novelty(made: Classifier) -> None:
    card = made.card
    assert card.novelty.score == made.novelty_score.name
    assert set(card.novelty.compared) == set(card.recipe["novelty"]["scores"])
    assert all(0 <= share <= 1 for share in card.novelty.compared.values())
    assert set(card.novelty.strangers.values()) == {20}
    (report,) = card.of_kind(StrangerReport)
    (drawn,) = report.sets
    assert (report.split, report.score, drawn.name) == ("test", card.novelty.score, "drawn")
    test = card.evaluation("test")
    assert test is not None
    assert report.answered_own == pytest.approx(test.coverage)
    assert "novelty-from-scratch" in {w.code for w in report.warnings}


def test_given_strangers_are_learned_and_others_of_them_tested(
    lfw: Path, stripes: Path, tiny: dict[str, object]
) -> None:
    made = fv.train(lfw, recipe="scratch", size=24, epochs=1, strangers=stripes, settings=tiny)
    (report,) = made.card.of_kind(StrangerReport)
    assert [one.name for one in report.sets] == ["drawn", "stripes"]
    learned = made.card.novelty.strangers["stripes"]
    assert learned + report.sets[1].n == 24
    assert min(learned, report.sets[1].n) > 0


def test_a_set_that_looks_the_same_is_learned_and_not_tested(
    lfw: Path, tiny: dict[str, object], tmp_path: Path
) -> None:
    folder = tmp_path / "white"
    folder.mkdir()
    for i in range(10):
        Image.new("L", (40, 40), 255 - i % 2).save(folder / f"{i}.png")
    made = fv.train(lfw, recipe="scratch", size=24, epochs=1, strangers=folder, settings=tiny)
    (report,) = made.card.of_kind(StrangerReport)
    assert [one.name for one in report.sets] == ["drawn"]
    assert made.card.novelty.strangers["white"] == 10
    assert [w.values["sets"] for w in report.warnings if w.code == "strangers-not-tested"] == [("white",)]


def test_evaluate_strangers_counts_what_the_predictor_answers(model: Path, lfw: Path, stripes: Path) -> None:
    report = fv.evaluate_strangers(model, lfw, [stripes])
    predictions = fv.open(model).predict(sorted(stripes.glob("*.png")))
    answered = [p for p in predictions if p.label is not None]
    (one,) = report.sets
    assert (one.name, one.n) == ("stripes", 24)
    assert one.answered == pytest.approx(len(answered) / 24)
    assert one.answered_as == {c: n for c in report_classes(model) if (n := sum(p.label == c for p in answered))}
    assert report.split == "test"
    kept = ModelCard.load(model).of_kind(StrangerReport)
    assert [[s.name for s in r.sets] for r in kept] == [["drawn"], ["stripes"]]
    page = (model / "report.html").read_text()
    assert "stripes" in page
    assert 'id="strangers"' in page


def report_classes(model: Path) -> tuple[str, ...]:
    return ModelCard.load(model).classes


def test_the_models_own_images_are_no_strangers(made: Classifier, lfw: Path, stripes: Path, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(stripes, tmp_path / "mixed"))
    own = sorted((lfw / "face").iterdir())[0]
    shutil.copy(own, mixed / f"own{own.suffix}")
    report = fv.evaluate_strangers(made, lfw, mixed)
    assert report.sets[0].n == 24
    assert "strangers-known" in {w.code for w in report.warnings}
    with pytest.raises(UsageError, match="at least one folder"):
        fv.evaluate_strangers(made, lfw, [])


def test_a_policy_takes_the_worst_set(made: Classifier, lfw: Path, stripes: Path, tmp_path: Path) -> None:
    card = made.card.with_evidence(fv.evaluate_strangers(made, lfw, stripes))
    sets = [one for report in card.of_kind(StrangerReport) for one in report.sets]
    worst = max(one.answered for one in sets)
    policy = tmp_path / "policy.toml"
    policy.write_text(f"[require.strangers]\nanswered = {worst}\nanswered_upper = 0.0\nauroc = 0.0\nn = 1\n")
    result = check_policy(card, policy)
    assert [(c.figure, c.passed) for c in result.checked] == [
        ("strangers.answered", True),
        ("strangers.answered_upper", False),
        ("strangers.auroc", True),
        ("strangers.n", True),
    ]
    assert result.checked[0].got == worst
    assert result.checked[3].got == min(one.n for one in sets)
    bare = check_policy(card.changed(evidence=()), policy)
    assert bare.failed[0].reason == "no strangers were tried beside 'test'"
    policy.write_text("[require.strangers]\nshare = 1\n")
    with pytest.raises(UsageError, match=r"strangers\.share.*answered_upper"):
        check_policy(card, policy)


def test_the_command_line(model: Path, lfw: Path, stripes: Path, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(model), str(lfw), "--strangers", str(stripes), "--no-save", "--json", str(answer)])
    assert ended.value.code == 0
    found = json.loads(answer.read_text())["strangers"]
    assert found["sets"][0]["name"] == "stripes"
    assert found["sets"][0]["n"] == 24


def test_fine_tuning_says_which_strangers_it_was_not_given_again(
    lfw: Path, stripes: Path, tiny: dict[str, object], tmp_path: Path
) -> None:
    made = fv.train(lfw, recipe="scratch", size=24, epochs=1, strangers=stripes, settings=tiny)
    hard = tmp_path / "hard"
    for label in ("face", "not-face"):
        (hard / label).mkdir(parents=True)
        for i, path in enumerate(sorted((lfw / label).iterdir())[:20]):
            image = np.asarray(Image.open(path).convert("RGB"))
            Image.fromarray(np.roll(255 - image, 7 + 2 * i, axis=1)).save(hard / label / f"{i:02}.png")
    lost = fv.finetune(made, hard)
    assert [w.values["sets"] for w in lost.report.warnings if w.code == "strangers-not-given-again"] == [("stripes",)]
    again = fv.finetune(made, hard, strangers=[stripes])
    assert "strangers-not-given-again" not in {w.code for w in again.report.warnings}
    assert "stripes" in again.model.card.novelty.strangers
