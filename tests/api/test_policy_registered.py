"""A policy is registered before the test images are used, and the check says whether it was."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

import facevalue as fv
from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.training.recipe import Setting


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text("[require]\nn = 10\naccuracy_lower = 0.2\n")
    return path


@pytest.fixture(scope="module")
def registered(lfw: Path, tiny: dict[str, Setting], policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registered") / "model"
    fv.train(lfw, folder, policy=policy, recipe="scratch", size=24, epochs=1, settings=tiny)
    return folder


def test_it_is_on_the_card_with_a_time_before_the_test_figures(registered: Path, policy: Path) -> None:
    card = ModelCard.load(registered)
    test = card.evaluation("test")
    assert card.policy is not None
    assert test is not None
    assert card.policy.text == policy.read_text()
    assert datetime.fromisoformat(card.policy.registered) <= datetime.fromisoformat(test.provenance.created)
    assert "policy" in (registered / "report.html").read_text()


def test_the_check_says_that_it_was_registered_and_that_another_one_was_not(
    registered: Path, policy: Path, tmp_path: Path
) -> None:
    when = ModelCard.load(registered).policy
    assert when is not None
    assert fv.check(registered, policy).registered == when.registered
    same = tmp_path / "same.toml"
    same.write_text("# other words\n[require]\naccuracy_lower = 0.2\nn = 10\n")
    assert fv.check(registered, same).registered is not None
    easier = tmp_path / "easier.toml"
    easier.write_text("[require]\nn = 10\naccuracy_lower = 0.1\n")
    assert fv.check(registered, easier).registered is None


def test_a_wrong_policy_is_told_before_the_work(lfw: Path, tiny: dict[str, Setting], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[require]\naccurcy = 0.9\n")
    with pytest.raises(UsageError, match="accurcy"):
        fv.train(lfw, tmp_path / "model", policy=wrong, recipe="scratch", size=24, epochs=1, settings=tiny)
    assert not (tmp_path / "model").exists()
