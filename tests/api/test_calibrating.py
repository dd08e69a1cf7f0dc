"""``calibrate`` with its methods, damage and promises, from the images to the answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import facevalue as fv
from facevalue.cli import main
from facevalue.errors import UsageError
from facevalue.evaluation.stated_error import NEVER
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import CalibrationReport
from facevalue.models.calibration import METHODS
from facevalue.models.classifier import Classifier


@pytest.fixture(scope="module")
def new(lfw: Path, made: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of images that the model was not trained on, with two sources of negatives."""
    assert made.origin is not None
    table = made.origin.manifest.table
    rows = table[table["split"].isin(["validation", "calibration"])]
    path = tmp_path_factory.mktemp("new") / "new.csv"
    rows.assign(source=["a" if i % 2 else "b" for i in range(len(rows))])[["path", "label", "source"]].to_csv(
        path, index=False
    )
    return path


def test_a_trained_model_declares_the_damage_it_was_calibrated_for_and_has_the_figures(made: Classifier) -> None:
    card = made.card
    n = sum(card.data.counts["calibration"].values())
    assert card.calibration.images == {"original": n, "jpeg-60": n, "jpeg-40": n, "resize-0.5": n}
    assert set(card.calibration.log_loss) == set(METHODS)
    (report,) = card.of_kind(CalibrationReport)
    assert (report.split, report.cross_validated, report.n) == ("calibration", True, n)
    assert [one.condition for one in report.conditions] == list(card.calibration.images)
    for one in report.conditions:
        assert one.after.nll <= one.before.nll + 0.2
        assert one.after.ece_ci[0] <= one.after.ece <= one.after.ece_ci[1]
    assert report.to_frame()["condition"].tolist() == list(card.calibration.images)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_the_same_in_a_folder_as_in_memory(
    method: str, made: Classifier, new: Path, lfw: Path, tmp_path: Path
) -> None:
    fitted = fv.calibrate(made, new, tmp_path / "model", method=method, damage=["jpeg-40"])
    card = ModelCard.load(tmp_path / "model")
    assert card.calibration.method == method
    assert list(card.calibration.images) == ["original", "jpeg-40"]
    files = sorted((lfw / "face").iterdir())[:6]
    runtime, torch_side = fv.open(tmp_path / "model").predict_proba(files), fitted.predict_proba(files)
    assert runtime == pytest.approx(torch_side, abs=1e-4)
    assert runtime.sum(1) == pytest.approx(1, abs=1e-5)


def test_without_damage_only_the_images_as_they_are_count(made: Classifier, new: Path) -> None:
    card = fv.calibrate(made, new, damage=[]).card
    assert list(card.calibration.images) == ["original"]


def test_a_stated_error_that_images_do_not_show_answers_nothing_and_says_how_many_more(
    made: Classifier, new: Path, lfw: Path, notes: list[str]
) -> None:
    fitted = fv.calibrate(made, new, max_error=0.01)
    stated = fitted.card.abstention.stated_error
    assert stated is not None
    assert not stated.kept
    assert fitted.card.abstention.confidence == NEVER
    assert fitted.card.abstention.target is None
    assert all(p.reasons[-1] == "uncertain" for p in fitted.predict([lfw / "face"])[:10])
    (told,) = [note for note in notes if "[error-not-promised]" in note]
    assert "the model answers nothing" in told
    (report,) = fitted.card.of_kind(CalibrationReport)
    assert [w.code for w in report.warnings] == ["error-not-promised"]
    assert report.warnings[0].values["more"] == stated.more


def test_a_stated_error_that_images_show_is_kept_on_the_images_it_was_shown_on(made: Classifier, new: Path) -> None:
    fitted = fv.calibrate(made, new, max_error=0.4)
    limits = fitted.card.abstention
    stated = limits.stated_error
    assert stated is not None
    assert stated.kept
    assert limits.confidence == max(0.6, stated.limit)
    (report,) = fitted.card.of_kind(CalibrationReport)
    for one in report.conditions:
        part = stated.conditions[one.condition]
        assert part.upper <= 0.4
        assert part.n == one.n == limits.n  # all images, not only a part of them


def test_two_thresholds_leave_what_is_between_them_unanswered(made: Classifier, new: Path, lfw: Path) -> None:
    fitted = fv.calibrate(made, new, max_false_positive=0.4)
    limits, card = fitted.card.abstention, fitted.card
    bounded = limits.false_positives
    assert bounded is not None
    assert bounded.kept
    assert set(bounded.sources) == {"a", "b"}
    assert limits.upper == bounded.upper
    assert limits.lower == bounded.lower
    assert card.positive is not None
    seen = set()
    for prediction in fitted.predict([lfw / "face", lfw / "not-face"]):
        p = prediction.probabilities[card.positive]
        if "uncertain" not in prediction.reasons and prediction.leaning == card.positive:
            assert p >= limits.upper
        if "uncertain" not in prediction.reasons and prediction.leaning != card.positive:
            assert limits.lower is None or p <= limits.lower + 1e-12
        seen.add(prediction.label)
    assert None in seen
    few = fv.calibrate(made, new, max_false_positive=0.01).card.abstention
    assert (few.upper, few.false_positives is not None and few.false_positives.kept) == (NEVER, False)


def test_evaluate_measures_the_declared_damage_on_other_images(made: Classifier, lfw: Path) -> None:
    report = fv.evaluate_calibration(made, lfw)
    assert (report.split, report.cross_validated) == ("test", False)
    assert [one.condition for one in report.conditions] == list(made.card.calibration.images)
    test = made.card.evaluation("test")
    assert test is not None
    assert report.conditions[0].after.ece == pytest.approx(test.ece, abs=1e-6)
    assert report.conditions[0].after.nll == pytest.approx(test.nll, abs=1e-6)
    assert [one.condition for one in fv.evaluate_calibration(made, lfw, damage=["blur-2"]).conditions][1:] == ["blur-2"]


def test_wrong_use_is_one_line(made: Classifier, new: Path) -> None:
    with pytest.raises(UsageError, match="no calibration method 'platt'"):
        fv.calibrate(made, new, method="platt")
    with pytest.raises(UsageError, match=r"expected max_error to be in \(0, 1\), but got 2"):
        fv.calibrate(made, new, max_error=2)
    with pytest.raises(UsageError, match="Expected damage as CORRUPTION-STRENGTH"):
        fv.calibrate(made, new, damage=["jpeg"])


def test_the_command_line_tells_method_figures_and_promises(
    made: Classifier, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(
            [
                *("calibrate", str(made.folder), str(new), "-o", str(tmp_path / "model"), "--method", "beta"),
                *("--damage", "jpeg-40", "--max-error", "0.45", "--max-false-positive", "0.3"),
                *("--json", str(tmp_path / "figures.json")),
            ]
        )
    assert done.value.code in (0, None)
    out = capsys.readouterr().out
    assert "calibration by beta" in out
    assert "false positives: at most 30.0 % of each source with 95 % confidence" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["method"] == "beta"
    assert figures["false_positives"]["rate"] == 0.3
    assert set(figures["stated_error"]["conditions"]) == {"original", "jpeg-40"}
    assert np.isfinite(figures["calibration"]["conditions"][0]["after"]["ece"])
