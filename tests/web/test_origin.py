"""Beside a verdict: the sources that the model knows, and what the answer means at the reader's base rate."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from facevalue.evaluation.figures import figures
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import Evaluation
from facevalue.evidence.source_facts import SourceFacts, SourceRate
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports.base_rate import BaseRateFigures

from .browsing import NEEDED, complaints, hosting, run, text
from .test_site import Build, of, opened, picked

pytestmark = NEEDED

CLASSES = ("warm", "cold")
SOURCES = SourceFacts(
    names=("cold/ice", "warm/desert", "warm/oven"),
    counts=(9, 9, 9),
    share=0.92,
    left_out=(
        SourceRate(label="cold", source="ice", n=10, rate=0.9),
        SourceRate(label="warm", source="desert", n=20, rate=0.5),
        SourceRate(label="warm", source="oven", n=0, rate=0.0),
    ),
)


def evaluation(counts: tuple[tuple[int, int], tuple[int, int]], silent: int = 0) -> Evaluation:
    """Of test images with these answers, and as many of each class without one."""
    card = ModelCard(
        classes=CLASSES, positive="warm", preprocessing=Preprocessing(), network=NetworkFacts(name="small-cnn")
    )
    base = figures(card, np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.zeros(2))
    (a, b), (c, d) = counts
    n = a + b + c + d + 2 * silent
    return base.changed(
        provenance=Provenance(split="test", n=n), answered=counts, confusion=((a + silent, b), (c, d + silent))
    )


MEANING = """
const { figuresOf, shareRight } = await import("/origin.js");
return values[0].map(([card, answer, rate]) => {
  const figures = figuresOf(card, answer);
  return figures && shareRight(figures, rate);
});
"""


def test_the_meaning_is_the_report_s(scripts: webdriver.Chrome) -> None:
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for size in (1, 5, 60, 900):
        for _ in range(6):
            a, b, c, d = (int(v) for v in rng.integers(0, size + 1, 4))
            report = evaluation(((a + 1, b), (c, d + 1)), silent=int(rng.integers(3)))
            answer, rate = CLASSES[int(rng.integers(2))], float(rng.choice([0.5, 0.1, 0.001, 1]))
            cases.append([{"evidence": [msgspec.to_builtins(report)]}, answer, rate])
            made = BaseRateFigures.of(report, answer)
            assert made is not None
            share, ends = made.meaning(rate)
            expected.append([share, *ends])
    found = run(scripts, MEANING, cases)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_there_is_no_meaning_without_test_figures(scripts: webdriver.Chrome) -> None:
    report = msgspec.to_builtins(evaluation(((5, 0), (0, 5))))
    other = {**report, "provenance": {**report["provenance"], "split": "validation"}}
    cards = [{"evidence": []}, {"evidence": [other]}, {"evidence": [{**report, "answered": []}]}]
    assert run(scripts, MEANING, [[card, "warm", 0.5] for card in cards]) == [None, None, None]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("origin")
    for name, colour in {"warm": (150, 120, 90), "far": (255, 0, 0)}.items():
        Image.new("RGB", (60, 80), colour).save(folder / f"{name}.png")
    return [folder / "warm.png", folder / "far.png"]


def test_beside_the_verdict(build: Build, browser: webdriver.Chrome, images: list[Path]) -> None:
    report = evaluation(((90, 0), (2, 88)), silent=10)
    changes = {"abstention": Abstention(confidence=0.6, novelty=2.0, source=2.0), "sources": SOURCES}
    with hosting(build(**changes, evidence=(report,))) as url:
        assert opened(browser, url) == "good"
        known, unknown = picked(browser, *images)
        origin = [e.text for e in known.find_elements(By.CSS_SELECTOR, ".origin p")]
        assert origin == [
            "It looks like the sources that the model knows:",
            "warm: desert, oven.",
            "cold: ice.",
            "Images of other sources can look like these: of sources that were left out in turn, 30.0 % of the images "
            "were answered all the same.",
        ]
        assert "comes from a source that the model does not know" in of(unknown, ".why")
        assert [e.text for e in unknown.find_elements(By.CSS_SELECTOR, ".origin p")] == [
            "It looks like none of the sources that the model knows:",
            *origin[1:3],
        ]
        assert not unknown.find_element(By.CLASS_NAME, "meaning").is_displayed()
        # 90 % of warm images found, 2 % of cold ones called warm: at 1 % warm, 31 % of such answers are right.
        assert "If 1.0 % of the images that you see are “warm”, 31.3 % of the answers “warm” are right" in of(
            known, ".meaning"
        )
        rate = browser.find_element(By.ID, "rate")
        assert text(browser, "#rate-text") == "Of all images that you see, “warm” are"
        rate.clear()
        rate.send_keys("50")
        assert "97.8 % of the answers “warm” are right" in of(known, ".meaning")
        rate.send_keys(Keys.BACKSPACE * 2)
        assert of(known, ".meaning") == "Type a rate from 0 to 100 to see what this answer means."
        facts = text(browser, "#model-facts")
        assert "warm: desert, oven. cold: ice." in facts
        assert "images of sources that it does not know" in facts
        assert complaints(browser) == []


def test_a_model_without_sources_and_figures_says_nothing_of_them(
    build: Build, browser: webdriver.Chrome, images: list[Path]
) -> None:
    with hosting(build()) as url:
        assert opened(browser, url) == "good"
        (article,) = picked(browser, images[0])
        assert not article.find_element(By.CLASS_NAME, "origin").is_displayed()
        assert not article.find_element(By.CLASS_NAME, "meaning").is_displayed()
        assert not browser.find_element(By.ID, "rate").is_displayed()
