"""Every notebook runs from an empty folder to its end, cell by cell, and is kept with its outputs."""

from __future__ import annotations

import ast
import html
import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def run(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All code cells in one namespace, as a kernel would; the last expression of a cell is shown."""
    from IPython import display as jupyter

    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = ModuleType("notebook").__dict__
    for i, cell in enumerate(cells(path)):
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]), filename=f"{path.name}[{i}]")
        last = tree.body[-1]
        shown = tree.body.pop() if isinstance(last, ast.Expr) else None
        exec(compile(tree, f"{path.name}[{i}]", "exec"), names)
        if isinstance(shown, ast.Expr):
            value = eval(compile(ast.Expression(shown.value), f"{path.name}[{i}]", "eval"), names)
            if value is not None:
                jupyter.display(value)
    return names


def test_every_notebook_is_listed() -> None:
    assert [p.stem for p in NOTEBOOKS] == ["explore_data", "gradcam", "temperature", "upload"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks", NOTEBOOKS[0].parents[1] / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_opens_in_jupyter_and_shows_its_outputs(path: Path, tool: ModuleType) -> None:
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    assert whole["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in whole["cells"]}) == len(whole["cells"])
    assert whole["cells"][0]["cell_type"] == "markdown"
    code = [cell for cell in whole["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))  # run once, from the top
    outputs = [output for cell in code for output in cell["outputs"]]
    assert len(outputs) >= 2
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in outputs)
    assert tool.local_paths(whole["cells"]) == []


def test_a_path_of_one_machine_is_noticed(tool: ModuleType) -> None:
    def cell(text: str) -> list[dict[str, Any]]:
        return [{"outputs": [{"text": "fine\n"}, {"data": {"text/html": ["<td>", text]}}]}]

    for text in ("/home/ann/images/a.png", "in /tmp/x", "C:\\Users\\ann", "lib/site-packages/torch"):
        assert tool.local_paths(cell(text)), text
    for text in ("images/home/a.png", "4/255", "https://example.org/home/a", "unseen/tmp.png"):
        assert not tool.local_paths(cell(text)), text


@pytest.mark.slow
def test_the_outputs_are_of_the_cells_as_they_are(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    for path in NOTEBOOKS:
        kept, again = json.loads(path.read_text(encoding="utf-8")), tool.executed(path)
        for before, now in zip(kept["cells"], again.cells, strict=True):
            kinds = [
                [(o["output_type"], sorted(o.get("data", {}))) for o in c.get("outputs", ())] for c in (before, now)
            ]
            assert kinds[0] == kinds[1], (path.name, before["id"])


def test_exploring_finds_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(NOTEBOOKS[0], tmp_path, monkeypatch)
    assert names["found"].counts() == {"all": {"face": 100, "not-face": 100}}
    assert set(names["split"].counts()) == {"train", "validation", "calibration", "test"}


def test_gradcam_shows_right_wrong_and_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(NOTEBOOKS[1], tmp_path, monkeypatch)
    for kind in ("right", "wrong", "unseen"):
        assert len(list((tmp_path / "heat" / kind).glob("*-gradcam.png"))) == 3
    assert names["right"]["right"].all()


def test_temperature_improves_the_likelihood_on_its_calibration_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    names = run(NOTEBOOKS[2], tmp_path, monkeypatch)
    features, temperature = names["calibration_features"], names["fitted"].card.temperature
    logits, y = features.logits(names["fitted"]).double(), torch.from_numpy(features.y)
    loss = torch.nn.functional.cross_entropy
    assert loss(logits / temperature, y) < loss(logits, y)
    assert names["reports"]["before"].accuracy == names["reports"]["after"].accuracy


def test_an_uploaded_image_is_classified(lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(NOTEBOOKS[3], tmp_path, monkeypatch)
    face = lfw / "face" / "face-000.png"
    files = {face.name: face.read_bytes(), "<b>.jpg": b"no image"}
    names["upload"].value = tuple(
        {"name": n, "type": "image/png", "size": len(d), "content": memoryview(d), "last_modified": datetime.now(UTC)}
        for n, d in files.items()
    )
    good, bad = names["answers"].children
    prediction = names["predictor"].predict_bytes(face.read_bytes())
    image, text = good.children
    assert bytes(image.value).startswith(b"\x89PNG")
    assert f"{prediction.probabilities['face']:.1%}" in text.value
    assert (prediction.label or "I don't know") in html.unescape(text.value)
    assert "&lt;b&gt;.jpg" in bad.value  # a file name is no markup
