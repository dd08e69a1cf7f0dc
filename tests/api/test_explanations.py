"""Several methods side by side, faithfulness on the card, in policies, in the report and on the command line."""

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
from facevalue.evidence.records import ExplanationReport
from facevalue.models.classifier import Classifier

ON_RESNETS = ["gradcam", "gradcam++", "hirescam", "heat", "integrated-gradients", "occlusion"]


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    """A copy that a test may add evidence to."""
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def test_all_methods_on_one_sheet_a_folder_in_one_run(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("face/face-000.png", "not-face/not-face-003.png"):
        shutil.copy(lfw / name, folder)
    (folder / "broken.png").write_bytes(b"no image")
    explained = fv.explain(made, folder, tmp_path / "out", method="all")
    assert [file.name for file in explained.files] == ["face-000-side-by-side.png", "not-face-003-side-by-side.png"]
    assert [Path(bad["path"]).name for bad in explained.unreadable] == ["broken.png"]
    assert list(explained.by_method) == list(explained.images[0].heats) == ON_RESNETS
    assert list(explained.refused) == ["attention-rollout"]
    assert explained.images[0].heat is None
    assert set(explained.to_dict()["faithfulness"]) == set(ON_RESNETS)
    with Image.open(explained.files[0]) as sheet:
        assert sheet.width == 4 * 288 + 3 * 12 + 2 * 12
        assert sheet.height > 2 * 288


def test_named_methods_are_drawn_or_refused(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    image = lfw / "face" / "face-000.png"
    both = fv.explain(made, image, method=["gradcam", fv.explanations.Occlusion(cells=4), "gradcam"])
    assert list(both.images[0].heats) == ["gradcam", "occlusion"]
    alone = fv.explain(made, image, method=["hirescam"])
    assert alone.method == "hirescam"
    np.testing.assert_array_equal(alone.images[0].heat, fv.explain(made, image, method="hirescam").images[0].heat)
    for wrong, message in [
        (["gradcam", "attention-rollout"], "attention-rollout needs a vision transformer"),
        (["gradcam", "feature-maps"], "feature-maps has no heat"),
        ([], "name at least one with `method`"),
        ("grad-cam", "did you mean 'gradcam'"),
    ]:
        with pytest.raises(UsageError, match=message):
            fv.explain(made, image, tmp_path / "out", method=wrong)
    with pytest.raises(UsageError, match="feature-maps has no heat whose faithfulness"):
        fv.explain(made, image, tmp_path / "out", method="feature-maps", faithfulness=True)


def test_faithfulness_on_the_card_in_a_policy_and_in_the_report(model: Path, lfw: Path, tmp_path: Path) -> None:
    report = fv.evaluate_explanations(model, lfw, methods=["gradcam", "heat", "attention-rollout"], limit=10)
    assert [r.method for r in report.results] == ["gradcam", "heat"]
    assert list(report.refused) == ["attention-rollout"]
    assert all(r.n + r.empty == 10 and r.seconds_per_image is not None for r in report.results)
    # Both draw the same map here, so they are equally faithful.
    one, other = report.results
    assert one.gain == pytest.approx(other.gain, abs=1e-3)
    assert report.random_insertion == pytest.approx(report.random_deletion, abs=0.2)
    (kept,) = ModelCard.load(model).of_kind(ExplanationReport)
    assert kept.results == report.results
    page = (model / "report.html").read_text(encoding="utf-8")
    assert '<section id="explanations"' in page
    assert "Left out: attention-rollout needs a vision transformer" in page

    policy = tmp_path / "policy.toml"
    policy.write_text('[require.explanations]\nmethod = "heat"\nn = 1\ngain_lower = 1.0\n', encoding="utf-8")
    judged = check_policy(ModelCard.load(model), policy)
    assert [(c.figure, c.passed) for c in judged.checked] == [
        ("explanations.n", True),
        ("explanations.gain_lower", False),
    ]
    policy.write_text('[require.explanations]\nmethod = "occlusion"\ngain = 0.0\n', encoding="utf-8")
    (failed,) = check_policy(ModelCard.load(model), policy).failed
    assert failed.reason == "no faithfulness of 'occlusion' on 'test'"
    policy.write_text("[require.explanations]\ngian = 0.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"no key 'explanations\.gian'"):
        check_policy(ModelCard.load(model), policy)


def exit_code(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_on_the_command_line(model: Path, lfw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, out = tmp_path / "figures.json", tmp_path / "out"
    image, gone = lfw / "face" / "face-000.png", tmp_path / "gone.png"
    both = ["--method", "gradcam,heat", "--faithfulness", "--json", figures]
    assert exit_code("explain", model, image, gone, "-o", out, *both) == 0
    told = capsys.readouterr().out
    assert "explained 1 of 2 images" in told
    assert "rank correlation" in told
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert len(found["files"]) == 1
    assert set(found["faithfulness"]["heat"]) >= {"drop_hot", "drop_random", "n", "insertion", "deletion", "gain"}
    assert exit_code("explain", model, image, "-o", out, "--method", "attention-rollout") == 2
    assert "needs a vision transformer" in capsys.readouterr().err

    assert exit_code("evaluate", model, lfw, "--explanations", "--limit", "4", "--json", figures) == 0
    assert "method left out: attention-rollout" in capsys.readouterr().out
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert [r["method"] for r in found["explanations"]["results"]] == ON_RESNETS
