"""Rules of this code base that linters cannot check: what importing loads, and the form of plug-in folders."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PLUGINS = {
    "models.networks": "NETWORKS",
    "robustness.attacks": "ATTACKS",
    "robustness.defenses": "DEFENSES",
    "explanations": "EXPLANATIONS",
    "export": "EXPORTERS",
    "models.calibration": "METHODS",
}
VERBS = """
    train evaluate predict compare attack explain export certify_runtimes report check calibrate ensemble finetune tune
    serve demo push pull sign verify
""".split()
DATA_VERBS = "scan prepare augment get".split()  # facevalue.scan_data(…) is `facevalue data scan`
# facevalue.certify(…) is `facevalue evaluate --certify`
FLAGS = """
    certify evaluate_calibration evaluate_corruptions evaluate_remade evaluate_strangers predict_to_parquet
""".split()
FUNCTIONS = [*VERBS, *FLAGS, *(f"{verb}_data" for verb in DATA_VERBS)]
TYPES = """
    AttackReport Classifier Evaluation FaceValueError ImageDataset ModelCard Prediction Predictor Preprocessing Threat
""".split()
MODULES = "attacks corruptions defenses explanations networks sklearn".split()
PUBLIC = {*FUNCTIONS, *TYPES, *MODULES, "load", "open", "__version__"}


def python(program: str, cwd: Path | None = None) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd)
    assert done.stderr == ""
    return done.stdout.strip()


def test_importing_is_light_and_has_no_side_effect(tmp_path: Path) -> None:
    program = """
import os, signal, sys, threading, warnings
before = (dict(os.environ), list(warnings.filters), signal.getsignal(signal.SIGINT), set(sys.modules))
import facevalue
after = (dict(os.environ), list(warnings.filters), signal.getsignal(signal.SIGINT))
assert after == before[:3]
assert threading.active_count() == 1
loaded = {name.partition(".")[0] for name in set(sys.modules) - before[3]}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""
    assert python(program, tmp_path) == "facevalue"
    assert list(tmp_path.iterdir()) == []


def test_public_names_are_pinned_and_verbs_are_no_modules() -> None:
    # `export` and `serve` are packages as well; whichever is imported first, the name is the verb.
    program = f"""
import facevalue.reports.model_page, facevalue.export.onnx, facevalue.serve, facevalue.api
import facevalue, types
assert set(facevalue.__all__) == set(dir(facevalue)) == {PUBLIC!r}, set(facevalue.__all__) ^ {PUBLIC!r}
assert all(isinstance(getattr(facevalue, name), types.FunctionType) for name in {FUNCTIONS!r})
assert all(isinstance(getattr(facevalue, name), type) for name in {TYPES!r})
assert all(isinstance(getattr(facevalue, name), types.ModuleType) for name in {MODULES!r})
from facevalue import train, report
from facevalue.export import EXPORTERS
assert facevalue.attacks.PGD(steps=50).title == "pgd(steps=50)"
assert facevalue.open.__name__ == "open_folder"
assert facevalue.load.__module__ == "facevalue.models.classifier"
print(facevalue.__version__)
"""
    assert python(program)[0].isdigit()


def test_each_verb_is_one_file_in_python_and_one_in_the_shell(root: Path) -> None:
    package = root / "src" / "facevalue"
    for inside in (".", "data"):
        api = {path.name for path in (package / "api" / inside).glob("*.py")}
        assert api == {path.name for path in (package / "cli" / inside).glob("*.py")}


def test_an_unknown_name_is_an_attribute_error() -> None:
    import facevalue

    with pytest.raises(AttributeError, match="module 'facevalue' has no attribute 'tarin'"):
        facevalue.tarin  # noqa: B018


def test_opening_a_model_needs_no_torch() -> None:
    heavy = "{'torch', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'timm'}"
    assert python(f"import sys, facevalue; facevalue.open; print(sorted({heavy} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize(("folder", "name"), PLUGINS.items())
def test_a_plug_in_folder_has_a_base_and_one_dict(root: Path, folder: str, name: str) -> None:
    package = root / "src" / "facevalue" / folder.replace(".", "/")
    assert (package / "base.py").is_file()
    tree = ast.parse((package / "__init__.py").read_text())
    dicts = [
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.isupper()
        if ast.unparse(node.annotation).startswith("dict[")
    ]
    assert dicts == [name]
    members = getattr(import_module(f"facevalue.{folder}"), name)
    assert members
    assert all(getattr(member, "name", key) == key for key, member in members.items())


def test_files_stay_small_and_are_documented(root: Path) -> None:
    for path in sorted((root / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it holds"


def test_python_and_the_command_line_use_the_same_words() -> None:
    from facevalue.cli import VERBS as TYPED
    from facevalue.cli.data import VERBS as TYPED_AFTER_DATA

    assert {name.replace("-", "_") for name in TYPED} == set(VERBS)
    assert set(TYPED_AFTER_DATA) == set(DATA_VERBS)
