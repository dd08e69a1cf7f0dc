"""Every runtime in one table: on the card, for a policy, and on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer import Exit

import facevalue as fv
from facevalue.cli import certify_runtimes as command
from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.policy import check_policy
from facevalue.evidence.records import RuntimeReport
from facevalue.export import EXPORTERS
from facevalue.export.base import Pixels
from facevalue.export.litert import PYTHON
from facevalue.models.classifier import Classifier


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "model"))  # type: ignore[arg-type]


def test_one_table_on_the_card_in_the_report_and_for_a_policy(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    report = fv.certify_runtimes(model, targets=["onnx", "litert", "hf"], limit=20)
    assert [(row.target, row.precision) for row in report.runtimes] == [("onnx", "fp32"), ("onnx", "int8")]
    fp32, int8 = report.runtimes
    assert (fp32.n, fp32.answers_changed, fp32.label_agreement) == (20, 0, 1.0)
    assert fp32.drawn == int8.drawn >= 200
    assert 0 <= fp32.max_probability_difference <= 1e-4 < int8.max_probability_difference
    assert int8.calibration_images > 0
    assert all(row.processor and row.engine and row.bytes for row in report.runtimes)
    # What is not measured is told with its reason, not passed over.
    assert list(report.left_out) == ["litert fp32", "litert int8", "hf fp32"]
    assert "needs litert-torch" in report.left_out["litert int8"]
    assert "holds timm's own networks" in report.left_out["hf fp32"]
    [kept] = ModelCard.load(model).of_kind(RuntimeReport)
    assert kept.to_dict() == report.to_dict()
    assert "onnx" in (model / "report.html").read_text("utf-8").partition('<section id="runtimes">')[2]
    policy = tmp_path / "policy.toml"
    policy.write_text("[require.runtimes.fp32]\nanswers_changed = 0\nmax_probability_difference = 1e-4\n")
    assert check_policy(ModelCard.load(model), policy).passed
    policy.write_text('[require.runtimes.fp32]\ntargets = ["litert"]\nn = 1\n')
    assert not check_policy(ModelCard.load(model), policy).passed


def test_a_classifier_in_memory_and_a_target_that_does_not_exist(made: Classifier, lfw: Path) -> None:
    with pytest.raises(UsageError, match="there is no export target 'fax'"):
        fv.certify_runtimes(made, lfw, targets=["onnx", "fax"])


def test_the_command_fails_where_a_runtime_answers_otherwise(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter = EXPORTERS["onnx"]
    original = type(exporter).open

    def moved(self: object, card: ModelCard, path: Path, precision: str) -> object:
        """An engine that computes badly."""
        runtime = original(exporter, card, path, precision)

        def run(pixels: Pixels) -> dict[str, np.ndarray]:
            found = runtime.run(pixels)
            return {**found, "probabilities": 0.99 * found["probabilities"]}

        return type(runtime)(run, runtime.versions)

    monkeypatch.setattr(type(exporter), "precisions", ("fp32",))
    command.run(model, targets="onnx", limit=20, json=tmp_path / "good.json")
    assert "may be used" in (model / "report.html").read_text("utf-8")
    monkeypatch.setattr(type(exporter), "open", moved)
    with pytest.raises(Exit) as ended:
        command.run(model, targets="onnx", limit=20, json=tmp_path / "bad.json")
    assert ended.value.exit_code == 1
    assert "runtime-answers-otherwise" in capsys.readouterr().out
    plain = json.loads((tmp_path / "bad.json").read_text())
    assert plain["passed"] is False
    assert "all answers should agree" in plain["runtimes"][0]["problem"]
    assert [w["code"] for w in plain["warnings"]] == ["runtime-answers-otherwise"]
    assert json.loads((tmp_path / "good.json").read_text())["passed"] is True
