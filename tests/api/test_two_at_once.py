"""Two processes that write one folder: the second is told so at once, and no evidence is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import facevalue as fv
from facevalue.api.common.inputs import EvaluationContext
from facevalue.api.common.model_folder import keep
from facevalue.api.train import train_sizes
from facevalue.cli.common.shell import message_of
from facevalue.errors import FaceValueError
from facevalue.evaluation.evaluate import evaluate_dataset
from facevalue.evidence.card import ModelCard
from facevalue.models.classifier import Classifier
from facevalue.support import locks
from facevalue.support.output_folder import lock_of

HOLD = """
import sys
from pathlib import Path
from facevalue.support.output_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    """Another process that writes ``folder``."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Path]:
    with holding(tmp_path / "new" / "model") as other:
        yield tmp_path / "new" / "model"
        other.kill()


def test_the_second_that_writes_a_folder_is_told_at_once(taken: Path, made: Classifier, lfw: Path) -> None:
    verbs: list[Callable[[], object]] = [
        lambda: fv.train(lfw, taken, recipe="scratch"),
        lambda: train_sizes(lfw, taken, (16, 24), recipe="scratch"),
        lambda: fv.tune(lfw, taken),
        lambda: fv.finetune(made, lfw, taken),
        lambda: fv.calibrate(made, lfw, taken),
        lambda: fv.ensemble([made, made], taken),
        lambda: fv.prepare_data(lfw, taken, size=16),
        lambda: made.save(taken),
    ]
    for verb in verbs:
        with pytest.raises(FaceValueError, match=r"another process is writing .*model; wait") as told:
            verb()
        assert message_of(told.value)[1] == 1
    assert list(taken.parent.iterdir()) == [lock_of(taken)]


def test_a_lock_of_a_killed_process_does_not_block(made: Classifier, tmp_path: Path) -> None:
    with holding(tmp_path / "model") as other:
        other.kill()
    assert [path.name for path in tmp_path.iterdir()] == [".model.lock"]
    made.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_refused_training_leaves_no_folder(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceValueError):
        fv.train(lfw, tmp_path / "new" / "deep" / "model", groups="nonsense")
    assert list(tmp_path.iterdir()) == []


def test_evidence_that_is_added_at_the_same_time_is_all_kept(made: Classifier, tmp_path: Path) -> None:
    model = Path(shutil.copytree(made.folder, tmp_path / "model"))
    card = ModelCard.load(model)
    test = card.evaluation("test")
    assert test is not None
    several = [test.changed(provenance=test.provenance.changed(split=f"set {i}")) for i in range(4)]
    threads = [threading.Thread(target=keep, args=(model, card, one)) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"set {i}" for i in range(4)} <= {e.split for e in ModelCard.load(model).of_kind(fv.Evaluation)}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_figures_of_a_model_that_was_replaced_meanwhile_are_not_added_to_its_successor(
    made: Classifier, lfw: Path, tmp_path: Path, notes: list[str]
) -> None:
    model = Path(shutil.copytree(made.folder, tmp_path / "model"))
    context = EvaluationContext.of(model, lfw)
    report = evaluate_dataset(context.classifier, context.dataset)
    shutil.rmtree(model)
    fv.calibrate(made, lfw, model, threshold=0.7)
    before = (model / "card.json").read_bytes()
    assert context.finished(report).accuracy == report.accuracy
    assert (model / "card.json").read_bytes() == before
    assert any("model-replaced-meanwhile" in note for note in notes)


def test_a_lock_may_be_waited_for(tmp_path: Path) -> None:
    got: list[bool] = []

    def second() -> None:
        with locks.alone(tmp_path / "lock", wait=30) as ours:
            got.append(ours)

    with locks.alone(tmp_path / "lock") as first, locks.alone(tmp_path / "lock") as refused:
        thread = threading.Thread(target=second)
        thread.start()
        assert (first, refused, got) == (True, False, [])
    thread.join()
    assert got == [True]
    assert list(tmp_path.iterdir()) == []
