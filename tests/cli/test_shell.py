"""One line an error, the right exit code, results alone on standard output."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facevalue.cli import GROUPS, VERBS
from facevalue.cli.common.output import as_json, plain
from facevalue.cli.common.parsing import fractions, settings_of, words
from facevalue.cli.common.shell import message_of
from facevalue.errors import DataError, MissingExtraError, ModelFolderError, UsageError

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_every_verb_has_help_with_an_example(shell: Shell) -> None:
    # One process for all: starting Python a dozen times would be most of the test.
    program = """
import sys
from facevalue.cli import GROUPS, VERBS, main
for words in [*([name] for name in VERBS), *([group, name] for group, of in GROUPS.items() for name in of.VERBS)]:
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0
    print("=====")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "COLUMNS": "300"}
    )
    names = [*VERBS, *(f"{group} {name}" for group, of in GROUPS.items() for name in of.VERBS)]
    pages = dict(zip(names, done.stdout.removesuffix("=====\n").split("=====\n"), strict=True))
    assert len(pages) > len(VERBS) >= 15
    for name, page in pages.items():
        assert f"Example: facevalue {name}" in page
        for flag in ("--json", "--seed", "--debug", "--help"):
            assert flag in page or (name == "serve" and flag == "--json"), (name, flag)


def test_alone_it_shows_its_help(shell: Shell) -> None:
    done = shell()
    assert done.returncode == 0
    assert "predict" in done.stdout
    assert shell("--version").stdout.startswith("facevalue ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?; see: facevalue --help"),
        (["predict"], "Missing argument 'MODEL'; see: facevalue predict --help"),
        (["predict", "m", "p", "--colour", "red"], "No such option: --colour"),
        (["train", "d", "-o", "m", "--epochs", "none"], "--epochs"),
        (["train", "d", "-o", "m", "--size", "150,4"], "--size: expected pixels, whole numbers of at least 8"),
        (["train", "d", "-o", "m", "--size", "24,24"], "expected sizes that are all different, but got 24, 24"),
        (["data", "augment", "d", "-o", "a.jpg"], "a.jpg is not the name of a PNG; use the suffix .png"),
        (["train", "d", "-o", "m", "--set", "lr"], "--set: expected KEY=VALUE, but got 'lr'"),
        (["attack", "m", "d", "--eps", "1/0"], "--eps: expected numbers such as 2/255 or 0.01, but got '1/0'"),
        (["predict", "nowhere", "p"], "nowhere is not a model folder: it does not exist"),
        (["predict", "m", "p", "--json", "."], "is a folder"),
        (["attack", "m", "d", "--plot", "curve.pdf"], "curve.pdf is not the name of a PNG; use the suffix .png"),
        (["predict", "m", "-", "-"], "give it only once"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(shell: Shell, arguments: list[str], message: str) -> None:
    done = shell(*arguments)
    assert message in one_line(done)
    assert done.returncode == 2


def test_a_traceback_is_shown_only_when_asked_for(shell: Shell) -> None:
    assert "Traceback" not in shell("predict", "nowhere", "p").stderr
    asked = shell("predict", "nowhere", "p", "--debug")
    assert "Traceback" in asked.stderr
    assert "ModelFolderError: nowhere is not a model folder" in asked.stderr
    assert asked.returncode == 1


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (DataError("too few"), "too few", 1),
        (UsageError("a\nb"), "a b", 2),
        (ModelFolderError("altered"), "altered", 2),
        (MissingExtraError("torch", "train"), "torch is not installed; run: pip install 'facevalue[train]'", 2),
        (KeyboardInterrupt(), "interrupted; nothing was left half-written", 130),
        (SystemExit(143), "", 143),
        (BrokenPipeError(), "", 1),
        (OSError(errno.ENOSPC, "x"), "the disk is full; free some space and run again", 1),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.toml"), "a.toml: No such file", 1),
        (ModuleNotFoundError("no", name="torch.nn"), "torch is not installed; run: pip install 'facevalue[train]'", 2),
        (ModuleNotFoundError("no", name="fastapi"), "fastapi is not installed; run: pip install 'facevalue[serve]'", 2),
        (MemoryError(), "out of memory; a smaller --batch-size or --size may help", 1),
        (
            RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory; a smaller --batch-size or --size may help",
            1,
        ),
        (
            ZeroDivisionError("by zero"),
            "unexpected ZeroDivisionError: by zero (run again with --debug for the traceback)",
            1,
        ),
    ],
)
def test_messages_of_errors(error: BaseException, line: str, code: int) -> None:
    assert message_of(error) == (line, code)


def test_predict_prints_one_line_an_image(shell: Shell, model: Path, lfw: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/notes.txt").write_text("no image")
    done = shell("predict", model, lfw / "face" / "face-000.png", "broken.png", lfw / "not-face", "more")
    assert done.returncode == 0
    *_, told = done.stderr.splitlines()
    assert told == "102 images: 101 answered, 0 abstained, 1 cannot be read; 1 other files skipped"
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 102
    assert {len(row) for row in rows} == {4}
    assert rows[1] == ["broken.png", "-", "-", "is not an image in a known format"]
    assert rows[0][1] in ("face", "not-face")
    assert 0.5 <= float(rows[0][2]) <= 1


def test_predict_reads_standard_input(shell: Shell, model: Path, lfw: Path, tmp_path: Path) -> None:
    image = lfw / "face" / "face-000.png"
    with image.open("rb") as stream:
        piped = shell("predict", model, "-", "--json", "-", stdin=stream)
    (answer,) = json.loads(piped.stdout)
    (named,) = json.loads(shell("predict", model, image, "--json", "-").stdout)
    assert answer == {**named, "path": "-"}
    assert set(answer) >= {"path", "label", "probabilities", "abstained", "reasons", "error"}


def test_predict_writes_json_csv_and_parquet(shell: Shell, model: Path, lfw: Path, tmp_path: Path) -> None:
    import pandas as pd

    done = shell("predict", model, lfw, "--json", "a/b.json", "--csv", "a.csv", "--parquet", "a.parquet")
    assert done.returncode == 0
    answers = json.loads((tmp_path / "a/b.json").read_text())
    csv, parquet = pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet")
    assert len(answers) == len(csv) == len(parquet) == len(done.stdout.splitlines()) == 200
    assert csv["label"].tolist() == [a["label"] for a in answers] == parquet["label"].tolist()
    assert csv["p_face"].tolist() == pytest.approx([a["probabilities"]["face"] for a in answers], abs=5.1e-5)
    assert csv["probability"].tolist() == csv[["p_face", "p_not-face"]].max(axis=1).tolist()
    assert done.stderr == "200 images: 200 answered, 0 abstained, 0 cannot be read\n"


def test_predict_fails_only_where_every_file_does(shell: Shell, model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    done = shell("predict", model, "bad.png", "missing.png")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "error: none of the 2 files could be read\n"
    (tmp_path / "empty").mkdir()
    assert "there is no image in empty" in one_line(shell("predict", model, "empty"))


def test_a_closed_pipe_is_no_error(model: Path, lfw: Path) -> None:
    command = [sys.executable, "-m", "facevalue", "predict", str(model), *[str(lfw)] * 20]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 1


def test_ctrl_c_is_one_line_and_leaves_nothing(model: Path, lfw: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facevalue", "predict", str(model), *[str(lfw)] * 500, "--csv", "a.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.splitlines()[-1] == "error: interrupted; nothing was left half-written"
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["facevalue.cli.common.shell", "typer", "facevalue.cli.train"])
def test_ctrl_c_while_the_command_line_is_imported_shows_no_traceback(module: str) -> None:
    """The signal comes at the import of ``module``, as if it were pressed just then."""
    code = f"""
import os, runpy, signal, sys
class Press:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
sys.argv = ["facevalue", "--version"]
runpy.run_module("facevalue", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {-signal.SIGINT, 130}
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_reported_before_the_work(
    shell: Shell, model: Path, lfw: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = shell("predict", model, lfw, "--json", "file/a.json")
    assert "cannot be written to" in one_line(done)
    assert done.returncode == 2


def test_starting_is_light() -> None:
    program = "import sys; from facevalue.cli import main\ntry: main(['predict', '--help'])\nexcept SystemExit: pass\n"
    heavy = "{'torch', 'numpy', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'PIL', 'onnxruntime', 'fastapi'}"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program + f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    assert time.perf_counter() - start < 5  # 0.4 s on a machine at rest


def test_fractions() -> None:
    assert fractions("1/255,2/255, 0.01,1e-2") == (1 / 255, 2 / 255, 0.01, 0.01)
    for wrong in ("", "1/255,", "a", "-1/255", "1/0", "nan", "inf"):
        with pytest.raises(UsageError, match="--eps"):
            fractions(wrong)


def test_words() -> None:
    assert words("fgsm, pgd", "--attacks") == ("fgsm", "pgd")
    with pytest.raises(UsageError, match="--attacks"):
        words("fgsm,,pgd", "--attacks")


def test_settings_are_toml_where_they_can_be() -> None:
    typed = ["a.b=true", "lr=1e-3", "n=3", "name=adam", "list=[1, 2]", "text='3'", "odd=x=y", "table={a = 1}"]
    assert settings_of(typed) == {
        "a.b": True,
        "lr": 1e-3,
        "n": 3,
        "name": "adam",
        "list": [1, 2],
        "text": "3",
        "odd": "x=y",
        "table": {"a": 1},
    }
    for wrong in (["lr"], ["=3"], ["a=1", "a=2"]):
        with pytest.raises(UsageError, match="--set"):
            settings_of(wrong)


def test_json_has_plain_values_alone() -> None:
    import numpy as np

    value = {
        "p": np.float32(0.5),
        "n": np.int64(3),
        "nan": float("inf"),
        "path": Path("a"),
        "t": (1, None, True),
        3: {},
    }
    assert json.loads(as_json(value)) == {"p": 0.5, "n": 3, "nan": None, "path": "a", "t": [1, None, True], "3": {}}
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        plain(object())


def test_a_policy_that_is_not_met_ends_with_1_and_the_model_is_kept(shell: Shell, lfw: Path, tmp_path: Path) -> None:
    hard = tmp_path / "hard.toml"
    hard.write_text("[require]\nn = 100000\n")
    options = ("--recipe", "scratch", "--size", "32", "--epochs", "1", "--policy", str(hard), "--json", "out.json")
    done = shell("train", lfw, "-o", tmp_path / "model", *options)
    assert done.returncode == 1
    assert "not met: n at least 100000" in done.stdout
    assert done.stderr.splitlines()[-1] == "error: 1 requirement is not met"
    from facevalue.evidence.card import ModelCard

    assert ModelCard.load(tmp_path / "model").policy is not None
    assert json.loads((tmp_path / "out.json").read_text())["policy"]["passed"] is False
