"""A search uses validation images only, resumes, and its best recipe trains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import facevalue as fv
from facevalue.api.tune import JOURNAL, SETUP, TuneResult
from facevalue.errors import FaceValueError, UsageError
from facevalue.training.recipe import read
from facevalue.training.search_space import Between, OneOf, check_comparable, default_space, read_space, spec, to_toml

SPACE = {"optimizer.lr": Between(1e-4, 1e-1, log=True), "network.options.widths": OneOf(([8, 16], [4, 8]))}


def tuned(data: Path, out: Path, trials: int, **more: object) -> TuneResult:
    small = {"network.options": {"widths": [8, 16]}, "fit.patience": 0}
    given = {"space": SPACE, "settings": small, "size": 16, "epochs": 2, **more}
    return fv.tune(data, out, recipe="scratch", trials=trials, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    return tuned(lfw, tmp_path_factory.mktemp("tuned") / "study", 6)


def losses(result: TuneResult) -> list[float | None]:
    return [row["validation_loss"] for row in result.figures["trials"]]


def test_the_study_holds_the_trials_the_best_recipe_and_a_plot(study: TuneResult) -> None:
    figures = study.figures
    assert figures["command"].startswith("facevalue.tune(")
    assert figures == json.loads((study.folder / "trials.json").read_text()) | {"command": figures["command"]}
    assert figures["n"] == 6
    assert figures["complete"] + figures["pruned"] == 6
    first = figures["trials"][0]
    assert first["settings"] == {"optimizer.lr": read("scratch").optimizer.lr, "network.options.widths": [8, 16]}
    best = figures["best"]
    assert best["validation_loss"] == min(loss for loss in losses(study) if loss is not None)
    assert all(1e-4 <= row["settings"]["optimizer.lr"] <= 1e-1 for row in figures["trials"])
    assert (study.folder / "trials.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_recipe_is_a_recipe_that_trains(study: TuneResult, lfw: Path, tmp_path: Path) -> None:
    best = read(str(study.recipe))
    assert best.optimizer.lr == study.figures["best"]["settings"]["optimizer.lr"]
    assert best.network.options["widths"] == study.figures["best"]["settings"]["network.options.widths"]
    assert (best.fit.epochs, best.network.size, best.method) == (2, 16, "scratch")
    model = fv.train(lfw, tmp_path / "model", recipe=str(study.recipe))
    # The same images, seed and settings give the same validation figures as in the trial.
    report = model.card.evaluation("validation")
    assert report is not None
    assert report.accuracy == pytest.approx(study.figures["best"]["validation_accuracy"])
    held_out = {split for split, counts in model.card.data.counts.items() if counts} - {"train", "validation"}
    assert held_out == {"calibration", "test"}


def test_no_trial_reads_a_calibration_or_test_image(lfw: Path, tmp_path: Path) -> None:
    import shutil

    data = Path(shutil.copytree(lfw, tmp_path / "data"))
    first = tuned(data, tmp_path / "study", 1)
    known = pd.read_parquet(first.folder / "manifest.parquet")
    assert set(known["split"]) == {"train", "validation"}
    kept = set(known["path"])
    gone = [path for path in data.rglob("*.png") if str(path) not in kept]
    assert len(gone) > 40
    for path in gone:  # all that belong to calibration and test
        path.unlink()
    assert tuned(data, tmp_path / "study", 2).figures["n"] == 2


def test_a_study_that_goes_on_ends_as_one_that_was_not_stopped(study: TuneResult, lfw: Path, tmp_path: Path) -> None:
    for trials in (2, 6):
        again = tuned(lfw, tmp_path / "study", trials)
    assert losses(again) == losses(study)
    assert again.figures["best"]["settings"] == study.figures["best"]["settings"]
    assert tuned(lfw, tmp_path / "study", 2).figures["n"] == 6  # there are more already


@pytest.mark.slow
def test_a_killed_study_goes_on(lfw: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    options = ["--size", "16", "--epochs", "20", "--set", "network.options={widths=[8, 16]}", "--no-prune"]
    search = ["--search", "optimizer.lr=1e-4..1e-1,log", "--trials", "2"]
    command = [sys.executable, "-m", "facevalue", "tune", str(lfw), "-o", str(out), *options, *search]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = out / "training" / "state.json"
    while process.poll() is None and not (state.is_file() and len(json.loads(state.read_text())["history"]) >= 3):
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = (out / JOURNAL).read_text()
    done = subprocess.run([*command, "--json", str(tmp_path / "f.json")], capture_output=True, text=True, check=True)
    assert "resuming after epoch" in done.stderr
    assert (out / JOURNAL).read_text().startswith(before)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [row["state"] for row in figures["trials"]] == ["complete", "complete"]
    assert [row["number"] for row in figures["trials"]] == [0, 1]
    assert not (out / "training").exists()


def test_a_trial_that_cannot_be_trained_is_reported_and_the_others_go_on(lfw: Path, tmp_path: Path) -> None:
    space = {"network.options.widths": OneOf(([8, 16], [8] * 9, "wide"))}
    result = tuned(lfw, tmp_path / "study", 5, space=space, epochs=1)
    failed = [row for row in result.figures["trials"] if row["state"] == "failed"]
    assert result.figures["complete"] > 0
    assert failed
    assert all("small-resnet cannot be built" in row["error"] for row in failed)
    with pytest.raises(FaceValueError, match="none of 2 trials could be trained"):
        tuned(lfw, tmp_path / "none", 2, space={"network.options.widths": OneOf(("wide", "wider"))})


def test_a_refitted_probe_is_evaluated_before_the_refit_and_the_best_recipe_keeps_refit(
    lfw: Path, tmp_path: Path
) -> None:
    changes = {"network.name": "small-resnet", "network.size": 24, "network.options": {"widths": [8, 16]}}
    changes |= {"network.weights": "none", "refit": True, "probe.loss": "squared"}
    results = [
        fv.tune(
            lfw,
            tmp_path / f"{refit}",
            recipe="probe",
            trials=1,
            space={"probe.quarter_consistency": Between(0.1, 0.5)},
            settings=changes | {"refit": refit},
        )
        for refit in (True, False)
    ]
    assert losses(results[0]) == losses(results[1])
    assert losses(results[0])[0] is not None
    assert read(str(results[0].folder / "best.toml")).refit


def test_a_float_setting_may_have_integer_limits_and_untrainable_values_are_reported(
    lfw: Path, tmp_path: Path, notes: list[str]
) -> None:
    changes = {"network.name": "small-resnet", "network.size": 24, "network.options": {"widths": [8, 16]}}
    changes |= {"network.weights": "none", "probe.loss": "squared"}
    result = fv.tune(
        lfw,
        tmp_path / "quarter_consistency",
        recipe="probe",
        trials=3,
        space={"probe.quarter_consistency": Between(0, 1)},
        settings=changes,
    )
    drawn = [row["settings"]["probe.quarter_consistency"] for row in result.figures["trials"]]
    assert any(0 < value < 1 for value in drawn)
    fv.tune(
        lfw,
        tmp_path / "alike",
        recipe="probe",
        trials=3,
        space={"probe.copy_consistency": Between(0, 1)},
        settings=changes,
    )
    told = [note for note in notes if "could not be trained" in note]
    assert len(told) == 1
    assert "copy_consistency to be 0 without probe.copies" in told[0]


def test_another_study_in_the_same_place_is_refused(study: TuneResult, lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a study that differs in its seed"):
        tuned(lfw, study.folder, 9, seed=1)
    with pytest.raises(UsageError, match="differs in its space"):
        tuned(lfw, study.folder, 9, space={"optimizer.lr": Between(1e-4, 1e-2)})
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="is not a study"):
        tuned(lfw, tmp_path, 1)
    assert json.loads((study.folder / SETUP).read_text())["seed"] == 0


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("1..5", Between(1, 5)),
        ("0.1 .. 0.5", Between(0.1, 0.5)),
        ("1e-4..1,log", Between(1e-4, 1, log=True)),
        ('["a", "b"]', OneOf(("a", "b"))),
        ("[[8], [8, 16]]", OneOf(([8], [8, 16]))),
        ("{low = 1, high = 4}", Between(1, 4)),
    ],
)
def test_search_expressions(text: str, search: Between | OneOf) -> None:
    assert spec("k", text) == search


@pytest.mark.parametrize("text", ["5..1", "0..1,log", "1..", "[1]", "[1, 1]", "7", "a..b", "1..2,square", "{low = 1}"])
def test_wrong_search_expressions(text: str) -> None:
    with pytest.raises(UsageError, match="search of k: expected"):
        spec("k", text)


def test_spaces_from_a_file_and_what_may_not_be_searched(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('[search]\n"optimizer.lr" = {low = 1e-5, high = 1e-2, log = true}\nfit.batch_size = [16, 32]\n')
    assert read_space(file) == {"optimizer.lr": Between(1e-5, 1e-2, log=True), "fit.batch_size": OneOf((16, 32))}
    file.write_text('[search]\n"optimizer.lr" = "1e-5..1e-2,log"\n')
    assert read_space(file) == {"optimizer.lr": Between(1e-5, 1e-2, log=True)}
    file.write_text('[search]\n"optimizer.lr" = "low"\n')
    with pytest.raises(UsageError, match=r"search of optimizer\.lr: expected LOW"):
        read_space(file)
    file.write_text("[other]\nx = 1\n")
    with pytest.raises(UsageError, match=r"expected one table \[search\]"):
        read_space(file)
    with pytest.raises(UsageError, match="changes what is measured"):
        check_comparable({"split.test": Between(0.1, 0.3)})
    with pytest.raises(UsageError, match="chooses its strength itself"):
        default_space(read("probe"))
    with pytest.raises(UsageError, match="colour"):
        fv.tune(tmp_path, tmp_path / "s", recipe="scratch", space={"augment.colour": Between(0, 1)})


@pytest.mark.parametrize("name", ["probe", "finetune", "scratch", "horse-or-human/cnn-augmented"])
def test_a_recipe_written_as_toml_is_read_as_the_same(name: str, tmp_path: Path) -> None:
    recipe = read(name)
    (tmp_path / "r.toml").write_text(to_toml(recipe.to_dict()))
    assert read(str(tmp_path / "r.toml")) == recipe
    tomllib.loads(to_toml({"a": 'quote " and \\ and ü', "t": {"x-y": 1e-05, "list": [True, "z"]}}))
