"""Bulk scoring gives the rows of ``predict``, and goes on after any end without losing or doubling a row."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from facevalue.errors import FaceValueError, MissingExtraError, UsageError
from facevalue.evidence.card import ONNX, Abstention, ModelCard, Stability
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import ParityFigures, RuntimeReport
from facevalue.runtime import bulk, open_folder
from facevalue.runtime.scoring import engines
from facevalue.runtime.scoring.run import predict_to_parquet
from facevalue.support import machine, output_folder

from .. import commands
from .model_folders import write_model

ENGINES = [
    "onnxruntime",
    pytest.param("openvino", marks=pytest.mark.skipif(not engines.installed(), reason="openvino is not installed")),
]


@pytest.fixture
def images(fill: Callable[..., Path], tmp_path: Path) -> Path:
    folder = fill(tmp_path / "images", "a", "b", n=10)
    (folder / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (folder / "empty.png").touch()
    return folder


def ordinary(folder: Path, images: Path, to: Path, stable: int | None = None) -> pd.DataFrame:
    predictor = open_folder(folder, stable=stable)
    bulk.write_parquet(predictor.stream([images]), to, predictor.card.classes)
    return pd.read_parquet(to)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected)
    for name in expected.columns:
        if expected[name].dtype == float:
            np.testing.assert_allclose(found[name], expected[name], atol=2e-6, err_msg=name)
        else:
            pd.testing.assert_series_equal(found[name], expected[name])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stable", [None, 3])
def test_rows_are_those_of_predict(engine: str, stable: int | None, folder: Path, images: Path, tmp_path: Path) -> None:
    """Abstentions, stable answers and errors too; in parts that pandas reads as one table."""
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    limits = Abstention(confidence=0.7, novelty=1.0)
    stability = Stability(inputs=3, support=0.3, abstention=limits) if stable else None
    ModelCard.load(model).changed(abstention=limits, stability=stability).save(model)
    expected = ordinary(model, images, tmp_path / "one.parquet", stable)
    done = predict_to_parquet(model, images, tmp_path / "out", engine=engine, part_images=6, stable=stable)  # type: ignore[arg-type]
    assert_same(pd.read_parquet(tmp_path / "out"), expected)
    assert expected["reasons"].nunique() > 1
    assert (done.images, done.rows, done.unreadable, done.parts) == (22, 22, 2, 4)
    assert done.abstained == expected["abstained"].sum()
    assert done.answered == expected["label"].notna().sum()
    assert done.engine == f"{engine} fp32"


def test_all_faces_need_a_gate(folder: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="face gate"):
        predict_to_parquet(folder, images, tmp_path / "out", faces="all")


def test_a_killed_run_goes_on(folder: Path, images: Path, tmp_path: Path) -> None:
    """kill -9 in the middle: the parts stay as they are, the rest is scored, and all rows are there once."""
    paths = [str(path) for path in sorted(images.rglob("*.png"))] * 60
    pd.DataFrame({"path": paths}).to_csv(tmp_path / "m.csv")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "facevalue", "predict", folder, tmp_path / "m.csv", "--parquet", out]
    run = subprocess.Popen([*map(str, command), "--part-images", "50"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (out / "part-000001.parquet").exists():
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    (out / ".part-000009.parquet.abc.parquet").write_text("half written")  # as a kill in the middle of a write leaves
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert not json.loads((out / "_manifest.json").read_text())["complete"]
    before = sum(len(pd.read_parquet(out / name)) for name in kept)
    assert 100 <= before < len(paths)
    done = predict_to_parquet(folder, tmp_path / "m.csv", out, part_images=50)
    assert (done.images, done.scored) == (len(paths), len(paths) - before)
    table = pd.read_parquet(out)
    assert table["path"].tolist() == paths
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert not list(out.glob(".part*"))
    whole = predict_to_parquet(folder, tmp_path / "m.csv", tmp_path / "whole")
    pd.testing.assert_frame_equal(table, pd.read_parquet(whole.output))
    assert predict_to_parquet(folder, tmp_path / "m.csv", out).scored == 0


def test_another_run_into_the_same_folder_is_refused(folder: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_to_parquet(folder, images, out, engine="onnxruntime")
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    other = tmp_path / "other"
    write_model(other, seed=1)
    with pytest.raises(UsageError, match=r"another run \(another model, gate or `stable`\)"):
        predict_to_parquet(other, images, out, engine="onnxruntime")
    with pytest.raises(UsageError, match=r"another run \(another model, gate or `stable`\)"):
        predict_to_parquet(folder, images, out, engine="onnxruntime", stable=3)
    with pytest.raises(UsageError, match=r"another run \(sources"):
        predict_to_parquet(folder, images / "a", out, engine="onnxruntime")
    with pytest.raises(UsageError, match=r"another run \(shard: 1/1, now 1/2\)"):
        predict_to_parquet(folder, images, out, engine="onnxruntime", shard="1/2")
    with pytest.raises(UsageError, match="is not empty and no folder of predictions"):
        predict_to_parquet(folder, images, images)
    with pytest.raises(UsageError, match=r"empty\.png is a file; choose another"):
        predict_to_parquet(folder, images, images / "empty.png")
    with pytest.raises(UsageError, match=r"empty\.png cannot be written to"):
        predict_to_parquet(folder, images, images / "empty.png" / "out")
    with output_folder.locked(out), pytest.raises(FaceValueError, match="another process is writing"):
        predict_to_parquet(folder, images, out, engine="onnxruntime")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept


@pytest.mark.parametrize("manifest", ["", "[]", "null", '"text"', "{"])
def test_a_damaged_manifest_is_told(manifest: str, folder: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_manifest.json").write_text(manifest)
    with pytest.raises(FaceValueError, match=r"_manifest\.json is damaged"):
        predict_to_parquet(folder, images, tmp_path / "out", engine="onnxruntime")


def test_a_run_killed_while_its_manifest_was_written_begins_again(folder: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "._manifest.json.a1b2.json").write_text('{"format"')
    assert predict_to_parquet(folder, images, tmp_path / "out", engine="onnxruntime").images == 22
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"_manifest.json", "part-000000.parquet"}


def test_changed_sources_and_parts_are_noticed(
    folder: Path, images: Path, tmp_path: Path, image: Callable[[Path, int], Path]
) -> None:
    out = tmp_path / "out"
    predict_to_parquet(folder, images, out, part_images=8)
    new = image(images / "a" / "0.png", 77)
    with pytest.raises(FaceValueError, match="files were added, removed or renamed"):
        predict_to_parquet(folder, images, out)
    new.unlink()
    last = image(images / "z.png", 78)  # after all others: it is scored as well
    assert predict_to_parquet(folder, images, out).scored == 1
    last.unlink()
    with pytest.raises(FaceValueError, match="files were added, removed or renamed"):
        predict_to_parquet(folder, images, out)
    (out / "part-000001.parquet").unlink()
    with pytest.raises(FaceValueError, match=r"part-000001\.parquet is missing"):
        predict_to_parquet(folder, images, out)


def test_a_manifest_that_fails_keeps_what_is_scored(folder: Path, images: Path, tmp_path: Path) -> None:
    """A local one is read before the work; one behind an address is found wrong in the middle."""
    paths = [str(path) for path in sorted(images.rglob("*.png"))] * 8
    good = "path,n\n" + "".join(f"{path},1\n" for path in paths)
    (tmp_path / "m.csv").write_text(good + ",1\n")
    with pytest.raises(UsageError, match=r"row 169 of .* has no path"):
        predict_to_parquet(folder, tmp_path / "m.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    storage = fsspec.filesystem("memory")
    storage.pipe("/manifests/m.csv", (good + ",1\n").encode())
    with pytest.raises(UsageError, match=r"row 169 of .* has no path"):
        predict_to_parquet(folder, "memory://manifests/m.csv", tmp_path / "out")
    kept = len(pd.read_parquet(tmp_path / "out"))
    assert 0 < kept <= 168
    storage.pipe("/manifests/m.csv", good.encode())
    assert predict_to_parquet(folder, "memory://manifests/m.csv", tmp_path / "out").scored == 168 - kept
    assert pd.read_parquet(tmp_path / "out")["path"].tolist() == paths
    storage.rm("/manifests", recursive=True)


def test_shards_together_are_all_rows(folder: Path, images: Path, tmp_path: Path) -> None:
    shards = [
        predict_to_parquet(folder, images, tmp_path / f"{i}", shard=f"{i}/3", engine="onnxruntime") for i in (1, 2, 3)
    ]
    whole = predict_to_parquet(folder, images, tmp_path / "whole", engine="onnxruntime")
    together = pd.concat(pd.read_parquet(shard.output) for shard in shards).sort_values("path", ignore_index=True)
    expected = pd.read_parquet(whole.output).sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(together, expected)


def test_an_empty_folder_is_an_error_and_an_empty_shard_is_a_table(folder: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="there is no image"):
        predict_to_parquet(folder, tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for i in range(1, 6):
        done = predict_to_parquet(folder, images / "empty.png", tmp_path / str(i), shard=f"{i}/5", engine="onnxruntime")
        assert next(iter(pd.read_parquet(done.output).columns)) == "path"


def certified(model: Path, precision: str, problem: str | None, processor: str | None = None) -> None:
    card = ModelCard.load(model)
    row = ParityFigures(
        target="openvino", precision=precision, problem=problem, processor=processor or machine.processor()
    )
    card.changed(evidence=(*card.evidence, RuntimeReport(runtimes=(row,), provenance=Provenance()))).save(model)


@pytest.mark.skipif(not engines.installed(), reason="openvino is not installed")
def test_the_engine_is_what_the_card_certifies(folder: Path, tmp_path: Path, notes: list[str]) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder, model)

    def opened(**how: str) -> str:
        engine = engines.opened(ModelCard.load(model), model / ONNX, **how)  # type: ignore[arg-type]
        engine.close()
        return engine.name

    assert opened() == "openvino fp32"
    with pytest.raises(UsageError, match="no figure on the card says that `precision` bf16"):
        opened(precision="bf16")
    certified(model, "bf16", None, "another processor")
    with pytest.raises(UsageError, match="no figure on the card"):
        opened(precision="bf16")
    certified(model, "bf16", None)
    assert opened(precision="bf16") == "openvino bf16"
    certified(model, "bf16", "labels change")
    with pytest.raises(UsageError, match="must not be used: labels change"):
        opened(precision="bf16")
    certified(model, "fp32", "labels change")
    assert opened() == "onnxruntime fp32"
    assert any("labels change; ONNX Runtime is used" in note for note in notes)
    with pytest.raises(UsageError, match="must not be used"):
        opened(choice="openvino")


def test_without_openvino(folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "installed", lambda: False)
    assert predict_to_parquet(folder, images, tmp_path / "out").engine == "onnxruntime fp32"
    with pytest.raises(UsageError, match=r"facevalue\[openvino\]"):
        predict_to_parquet(folder, images, tmp_path / "other", engine="openvino")


def test_without_pyarrow_nothing_is_written(
    folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"facevalue\[train\]"):
        predict_to_parquet(folder, images, tmp_path / "out", engine="onnxruntime")
    assert not (tmp_path / "out").exists()


def test_command(folder: Path, images: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*commands.facevalue(), "predict", str(folder), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(images, "--parquet", tmp_path / "out", "--json", "-")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["images"], figures["unreadable"], figures["scored"]) == (22, 2, 22)
    assert figures["images_per_second"] > 0
    wrong = run(images, "--shard", "1/2")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --shard needs --parquet with a folder, such as --parquet predictions\n",
    )
    unreadable = run(images / "empty.png", "--parquet", tmp_path / "bad")
    assert unreadable.returncode == 1
    assert unreadable.stdout.startswith("1 image: 0 answered, 0 abstained, 1 cannot be read; ")
    other = run(images / "a", "--parquet", tmp_path / "bad")
    assert other.returncode == 2
    assert other.stderr.endswith("; choose another --parquet\n")
