"""The base install, without the extras: what works, and what says which extra it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .runtime.model_folders import write_model
from .serve.environments import environment

HIDDEN = """
import importlib.abc, sys
HIDDEN = set(
    "captum cleanlab jinja2 lightning_fabric matplotlib onnx onnxscript cv2 pandas pyarrow safetensors skimage sklearn "
    "scipy timm torch torchvision fastapi httptools prometheus_client multipart python_multipart uvicorn uvloop "
    "pillow_heif c2pa kagglehub optuna ipywidgets huggingface_hub".split()
)
class Hider(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hider())
"""

RUN = """
import contextlib, io, json, shlex
from facevalue.cli import main
found = {}
for line in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(shlex.split(line))
        except SystemExit as end:
            found[line] = [end.code, out.getvalue(), err.getvalue()]
json.dump(found, sys.stdout)
"""

NEEDS = {
    "train": "train images -o new",
    "evaluate": "evaluate model images",
    "compare": "compare model",
    "calibrate": "calibrate model images -o new",
    "finetune": "finetune model images -o new",
    "adapt": "adapt model --add face/new=images -o new",
    "tune": "tune images -o new",
    "ensemble": "ensemble model model -o new",
    "attack": "attack model images",
    "explain": "explain model images -o new",
    "export": "export model -o new.onnx",
    "report": "report model",
    "demo": "demo -o new",
    "serve": "serve model",
    "data scan": "data scan images",
    "data prepare": "data prepare images -o new",
    "data augment": "data augment images -o new.png",
}
WORKS = [
    "--version",
    "predict model images --marks --csv a.csv",
    "check model --policy policy.toml",
    "--help",
    "data --help",
]


@pytest.fixture
def place(fill, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    fill(tmp_path / "images", "face", "not-face", n=2)
    write_model(tmp_path / "model")
    (tmp_path / "policy.toml").write_text("[require]\naccuracy = 0.5\n")
    return tmp_path


def check(found: dict[str, tuple[int, str, str]]) -> None:
    for verb, line in NEEDS.items():
        code, out, errors = found[line]
        extra = "serve" if verb == "serve" else "train"
        assert (code, out) == (2, ""), (line, code, out, errors)
        assert errors.startswith("error: "), line
        assert errors.endswith(f" is not installed; run: pip install 'facevalue[{extra}]'\n"), (line, errors)
        assert errors.count("\n") == 1
    assert found["--version"][0] == 0
    code, out, errors = found[WORKS[1]]
    assert code == 0, errors
    assert len(out.splitlines()) == 4
    code, out, errors = found[WORKS[2]]  # the model has no evaluation, so the policy is not met
    assert code == 1
    assert "not met: accuracy" in out
    assert errors == "error: 1 requirement is not met\n"
    page = found["--help"][1]
    usable, _, rest = page.partition("To use these: pip install 'facevalue[")
    assert {verb for verb in ("predict", "check", "data") if f" {verb} " in usable} == {"predict", "check", "data"}
    assert not any(f"│ {verb} " in usable for verb in NEEDS)
    for heading in ("train]'", "To use these: pip install 'facevalue[train,tune]'", "facevalue[serve]'"):
        assert heading in rest
    assert "│ get " in found["data --help"][1].partition("To use these")[0]


def test_without_the_extras_every_command_works_or_names_its_extra(place: Path) -> None:
    command = [sys.executable, "-c", HIDDEN + RUN, *NEEDS.values(), *WORKS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
    assert {path.name for path in place.iterdir()} == {"images", "model", "policy.toml", "a.csv"}


def test_in_python_too(place: Path) -> None:
    program = (
        HIDDEN
        + """
import facevalue as fv
assert len(fv.open("model").predict("images")) == 4
for name in ("train", "evaluate", "load"):
    try:
        getattr(fv, name)
    except fv.FaceValueError as error:
        print(error)
"""
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=place, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{package} is not installed; run: pip install 'facevalue[{extra}]'"
        for package, extra in (("pandas", "train"), ("pandas", "train"), ("torch", "train"))
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_an_environment_of_its_own(root: Path, place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("base") / "environment"
    programs = environment(folder, "-c", str(root / "constraints.txt"), str(root))
    (place / "run.py").write_text("import sys\n" + RUN)
    done = subprocess.run(
        [programs / "python", "-I", "run.py", *NEEDS.values(), *WORKS],
        capture_output=True,
        text=True,
        cwd=place,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
