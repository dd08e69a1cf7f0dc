"""Figures of sources left out, against scikit-learn and counts by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from facevalue.evaluation.left_out import LeftOut, figures, left_out_findings, tpr_at
from facevalue.evaluation.metrics import exact
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AnyEvidence, LeftOutFigures, LeftOutReport

CLASSES = ("ai", "real")


def what(label: int, threshold: float = 0.5) -> LeftOut:
    """``ai`` is the positive class."""
    return LeftOut("lfw", label, 40, CLASSES, 0, threshold)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [200, 400])
    p = np.clip(rng.normal(np.where(y == 0, 0.6, 0.4), 0.15), 0, 1)
    return y, np.stack([p, 1 - p], 1)


def test_figures_are_those_of_scikit_learn() -> None:
    (y, p), (_, q) = drawn(0), drawn(1)
    mine = y == 1  # the source is real; the others are ai
    found = figures(what(1), "clean", mine, y, [p, q])
    areas = [roc_auc_score(y == 0, each[:, 0]) for each in (p, q)]
    assert found.auroc == pytest.approx(np.mean(areas))
    assert found.auroc_range == (pytest.approx(min(areas)), pytest.approx(max(areas)))
    false, true, _ = roc_curve(y == 0, p[:, 0], drop_intermediate=False)
    assert tpr_at(p[:, 0], y == 0, 0.01) == pytest.approx(true[false <= 0.01].max())
    accused = [int((each[mine, 0] >= 0.5).sum()) for each in (p, q)]
    assert found.accused == tuple(accused)
    assert found.accused_rate == pytest.approx(sum(accused) / 400)
    assert found.accused_ci == exact(max(accused), 200)
    recalls = [((each[mine, 0] < 0.5).mean(), (each[~mine, 0] >= 0.5).mean()) for each in (p, q)]
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert (found.n, found.others, found.learned) == (200, 400, 40)


def test_only_sources_of_the_negative_class_are_accused_and_the_threshold_is_the_models() -> None:
    y, p = drawn(0)
    of_positive = figures(what(0), "clean", y == 0, y, [p])
    assert (of_positive.accused, of_positive.accused_ci) == (None, None)
    low, high = (figures(what(1, t), "clean", y == 1, y, [p]).accused_rate for t in (0.2, 0.8))
    assert low is not None
    assert high is not None
    assert low > 0.8 > 0.05 > high
    three = figures(
        LeftOut("x", 2, 0, ("a", "b", "c"), None, 0.5),
        "clean",
        np.array([True, False]),
        np.array([2, 0]),
        [np.eye(3)[[2, 0]]],
    )
    assert (three.auroc, three.balanced_accuracy, three.tpr_at_one_percent) == (1.0, 1.0, None)


def report(*results: LeftOutFigures) -> LeftOutReport:
    return LeftOutReport(
        provenance=Provenance(split="test", n=600),
        by="source",
        classes=CLASSES,
        seeds=(0,),
        positive="ai",
        threshold=0.5,
        results=results,
    )


def test_chance_and_accusations_are_findings() -> None:
    y, p = drawn(0)
    good = figures(what(1), "clean", y == 1, y, [np.stack([y == 0, y == 1], 1).astype(float)])
    assert left_out_findings(report(good)) == ()
    accused = figures(what(1), "clean", y == 1, y, [p])
    assert [f.code for f in left_out_findings(report(accused, good))] == ["unseen-source-accused"]
    reversed_ = figures(what(1), "clean", y == 1, y, [p[:, ::-1]])
    assert {f.code for f in left_out_findings(report(reversed_))} == {
        "source-unseen-at-chance",
        "unseen-source-accused",
    }
    # What happens after damage is in the table alone.
    damaged = figures(what(1), "jpeg-q40-420", y == 1, y, [p[:, ::-1]])
    assert left_out_findings(report(good, damaged)) == ()


def test_the_record_survives_json_and_has_a_table() -> None:
    y, p = drawn(0)
    found = report(*(figures(what(1), name, y == 1, y, [p]) for name in ("clean", "jpeg-q40-420")))
    assert msgspec.json.decode(msgspec.json.encode(found), type=AnyEvidence) == found
    assert [one.condition for one in found.of("clean")] == ["clean"]
    assert len(found.to_frame()) == 2
    assert found.title() == "each source left out, on test"
