"""Requirements on the controls of sources and on sources left out, and the page that shows both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facevalue.errors import UsageError
from facevalue.evaluation.source_images import SourceImages
from facevalue.evaluation.source_report import source_report
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.policy import check_policy
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import LeftOutFigures, LeftOutReport, SourceReport
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports.model_page import render


def figures(source: str, auroc: float, accused: int | None = None, condition: str = "clean") -> LeftOutFigures:
    return LeftOutFigures(
        source=source,
        label="ai" if accused is None else "real",
        condition=condition,
        n=50,
        others=80,
        learned=100,
        auroc=auroc,
        auroc_range=(auroc, auroc),
        balanced_accuracy=0.7,
        recall=0.7,
        tpr_at_half_percent=0.2,
        tpr_at_one_percent=0.3,
        accused=None if accused is None else (accused,),
        accused_rate=None if accused is None else accused / 50,
        accused_ci=None if accused is None else (0.0, 0.2),
    )


@pytest.fixture
def controls() -> SourceReport:
    rng = np.random.default_rng(0)
    labels = np.repeat(["ai", "real"], 60).tolist()
    sources = [f"<{label}{i % 2}>" for i, label in enumerate(labels)]
    x = rng.normal(size=(120, 8)) + 2 * (np.array(labels) == "ai")[:, None]
    images = SourceImages.of(("ai", "real"), labels, sources, [""] * 120)
    return source_report(images, x, "planted features", {"longer side": np.ones(120)})


@pytest.fixture
def card(controls: SourceReport) -> ModelCard:
    plain = ModelCard(
        classes=("ai", "real"), positive="ai", preprocessing=Preprocessing(size=24), network=NetworkFacts(name="x")
    )
    left_out = LeftOutReport(
        provenance=Provenance(split="test", n=130),
        by="source",
        classes=("ai", "real"),
        seeds=(0,),
        positive="ai",
        threshold=0.5,
        results=(figures("gan", 0.9), figures("lfw", 0.8, 5), figures("gan", 0.6, condition="jpeg-q40-420")),
        untold=("ai/tiny: only 3 images to test on, and 10 are needed",),
    )
    return plain.with_evidence(controls, left_out)


def met(card: ModelCard, folder: Path, text: str) -> dict[str, tuple[float | None, bool]]:
    policy = folder / "policy.toml"
    policy.write_text(text)
    return {check.figure: (check.got, check.passed) for check in check_policy(card, policy).checked}


def test_the_worst_source_counts(card: ModelCard, tmp_path: Path) -> None:
    text = "[require.left_out]\nauroc = 0.85\naccused = 0.05\naccused_upper = 0.2\nn = 50\ntpr_at_one_percent = 0.3\n"
    assert met(card, tmp_path, text) == {
        "left_out.auroc": (0.8, False),
        "left_out.accused": (0.1, False),
        "left_out.accused_upper": (0.2, True),
        "left_out.n": (50, True),
        "left_out.tpr_at_one_percent": (0.3, True),
    }
    damaged = '[require.left_out]\ncondition = "jpeg-q40-420"\nauroc = 0.5\naccused = 0.9\n'
    assert met(card, tmp_path, damaged) == {"left_out.auroc": (0.6, True), "left_out.accused": (None, False)}
    assert met(card, tmp_path, '[require.left_out]\nby = "family"\nauroc = 0.1\n') == {"left_out.auroc": (None, False)}
    with pytest.raises(UsageError, match=r"no key 'left_out\.area'"):
        met(card, tmp_path, "[require.left_out]\narea = 1\n")
    with pytest.raises(UsageError, match="needs a figure"):
        met(card, tmp_path, '[require.left_out]\nby = "source"\n')


def test_controls_are_required_and_what_cannot_be_told_is_not_met(
    card: ModelCard, controls: SourceReport, tmp_path: Path
) -> None:
    text = "[require.sources]\npairs_auroc = 0.9\nexplained = 0.5\nbaseline_auroc = 0.6\nsources = 2\nwarnings = 0\n"
    found = met(card, tmp_path, text)
    assert all(passed for _, passed in found.values()), found
    assert found["sources.baseline_auroc"] == (0.5, True)
    untold = card.changed(evidence=(controls.changed(pairs=(), pairs_auroc=None, permuted=None),))
    assert met(untold, tmp_path, "[require.sources]\npairs_auroc = 0.1\npermuted_accuracy = 1\n") == {
        "sources.pairs_auroc": (None, False),
        "sources.permuted_accuracy": (None, False),
    }
    without = card.changed(evidence=())
    assert met(without, tmp_path, "[require.sources]\nn = 1\n") == {"sources.n": (None, False)}
    with pytest.raises(UsageError, match=r"no key 'sources\.auc'"):
        met(card, tmp_path, "[require.sources]\nauc = 1\n")


def test_the_page_shows_both_and_escapes_names(card: ModelCard) -> None:
    page = render(card)
    assert 'id="sources"' in page
    assert "&lt;ai0&gt;" in page
    assert "<ai0>" not in page
    assert "only 3 images to test on" in page
    assert "jpeg-q40-420" in page


def test_cards_with_both_are_saved_and_read(card: ModelCard, tmp_path: Path) -> None:
    card.save(tmp_path)
    assert ModelCard.load(tmp_path).evidence == card.evidence
