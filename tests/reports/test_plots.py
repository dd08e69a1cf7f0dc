"""Figures show the records' numbers; they are read back from the axes."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from facevalue.evaluation.figures import figures, metrics
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AttackFigures, AttackReport, Evaluation
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports import plots


def evaluation(classes=("face", "not-face"), n: int = 300) -> Evaluation:
    rng = np.random.default_rng(0)
    k = len(classes)
    y = rng.integers(0, k, n)
    z = rng.normal(size=(n, k)) + 2 * np.eye(k)[y]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    card = ModelCard(classes=tuple(classes), preprocessing=Preprocessing(), network=NetworkFacts(name="small-resnet"))
    return figures(card, y, p, np.zeros(n))


def attacks() -> AttackReport:
    def one(attack: str, norm: str, eps: float, right: int) -> AttackFigures:
        return AttackFigures(
            attack=attack,
            norm=norm,
            eps=eps,
            n=100,
            clean_accuracy=0.95,
            robust_accuracy=right / 100,
            robust_ci=metrics.wilson(right, 100),
            robust_accuracy_unrounded=right / 100,
            confusion=((right, 50 - right // 2), (0, 0)),
            mean_distance=eps,
            queries=100,
            seconds=1.0,
        )

    return AttackReport(
        provenance=Provenance(n=100),
        classes=("a", "b"),
        clean_confusion=((48, 2), (3, 47)),
        results=(
            one("pgd", "linf", 8 / 255, 20),
            one("pgd", "linf", 2 / 255, 70),
            one("fgsm", "linf", 2 / 255, 80),
            one("pgd", "l2", 0.5, 40),
        ),
    )


LINES = [
    {"epoch": i, "phase": "fit", "train_loss": 1 / (i + 1), "validation_loss": 1.1 / (i + 1), "train_accuracy": 0.5}
    for i in range(3)
]
PROBE = [{"epoch": i, "phase": "probe", "strength": 10.0**i, "validation_loss": 0.1 * i} for i in range(-2, 3)]


def curves(axis):
    return {line.get_label().strip(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.get_lines()}


def test_reliability_has_a_bar_for_every_bin():
    report = evaluation()
    top, below = plots.reliability(report).axes
    bars = top.patches
    assert [b.get_height() for b in bars] == pytest.approx([100 * b.accuracy for b in report.reliability])
    assert [b.get_x() + b.get_width() / 2 for b in bars] == pytest.approx(
        [(b.low + b.high) / 2 for b in report.reliability]
    )
    assert [b.get_height() for b in below.patches] == [b.n for b in report.reliability]
    assert top.get_xlim()[0] <= min(b.low for b in report.reliability)


def test_history_draws_only_recorded_values():
    loss, accuracy = plots.history(LINES).axes
    assert curves(loss)["train"] == ([1, 2, 3], pytest.approx([1, 1 / 2, 1 / 3]))
    assert curves(loss)["validation"][1] == pytest.approx([1.1, 0.55, 1.1 / 3])
    assert curves(accuracy) == {"train": ([1, 2, 3], [50, 50, 50])}
    assert (loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()) == ("epoch", "loss (nats)", "accuracy (%)")


def test_gaps_in_the_history_are_skipped():
    lines = [*LINES, {"epoch": 3, "validation_loss": 0.2}]
    loss = plots.history(lines).axes[0]
    assert curves(loss)["train"][0] == [1, 2, 3]
    assert curves(loss)["validation"][0] == [1, 2, 3, 4]


def test_a_probe_is_drawn_by_strength():
    loss = plots.history(PROBE).axes[0]
    assert curves(loss)["validation"][0] == [0.01, 0.1, 1, 10, 100]
    assert loss.get_xscale() == "log"
    assert "regularisation" in loss.get_xlabel()


@pytest.mark.parametrize("lines", [[], [{}], [{"epoch": 0, "phase": "fit"}]])
def test_an_empty_history_is_an_empty_figure(lines, tmp_path):
    assert plots.save_png(plots.history(lines), tmp_path / "empty.png").is_file()


def test_compare_has_a_solid_and_a_dotted_curve_a_model():
    figure = plots.compare_curves({"one": LINES, "_two": LINES[:2], "three": PROBE})
    loss, _, probe, _ = figure.axes  # epochs, then the strengths of a probe, on axes of their own
    assert [line.get_linestyle() for line in loss.get_lines()] == ["-", ":", "-", ":"]
    assert [line.get_linestyle() for line in probe.get_lines()] == ["-"]  # the probe has no train loss
    assert (loss.get_xlabel(), loss.get_xscale()) == ("epoch", "linear")
    assert (probe.get_xlabel(), probe.get_xscale()) == ("inverse regularisation strength tried", "log")
    assert [t.get_text().strip() for t in figure.legends[0].get_texts()] == ["one", "_two", "three"]


def test_a_probe_before_epochs_is_not_drawn_as_epochs():
    figure = plots.history([*PROBE, *LINES])
    assert curves(figure.axes[0])["validation"] == curves(plots.history(LINES).axes[0])["validation"]
    assert len(plots.compare_curves({"one": [*PROBE, *LINES], "two": LINES}).axes) == 2


def test_confusion_shows_counts_and_shares():
    axis = plots.confusion([[9, 1], [0, 0]], ["a", "b"], "a title").axes[0]
    assert [t.get_text() for t in axis.texts] == ["9\n90.0 %", "1\n10.0 %", "0\n0.0 %", "0\n0.0 %"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["a", "b"]
    assert axis.get_title() == "a title"


def test_confusion_of_a_report():
    report = evaluation(classes=[f"class {i}" for i in range(9)])
    axis = plots.confusion(report).axes[0]
    assert [t.get_text() for t in axis.texts] == [str(n) for row in report.confusion for n in row]


def test_accuracy_against_eps():
    linf, l2 = plots.accuracy_against_eps(attacks()).axes
    found = curves(linf)
    assert found["clean images"][1] == [95, 95]
    assert found["pgd"] == (pytest.approx([0, 2, 8]), pytest.approx([95, 70, 20]))
    assert found["fgsm"] == (pytest.approx([0, 2]), pytest.approx([95, 80]))
    assert curves(l2)["pgd"] == (pytest.approx([0, 0.5]), pytest.approx([95, 40]))
    assert linf.xaxis.get_major_formatter()(2) == "2/255"
    assert l2.get_xlabel() == "eps (L2, pixels in [0, 1])"
    band = linf.collections[0].get_paths()[0].vertices[:, 1]
    low, high = metrics.wilson(70, 100)
    assert np.isclose(band, 100 * low).any()
    assert np.isclose(band, 100 * high).any()


ALL = {
    "reliability": lambda: plots.reliability(evaluation()),
    "history": lambda: plots.history(LINES),
    "probe": lambda: plots.history(PROBE),
    "compare_curves": lambda: plots.compare_curves({"one": LINES}),
    "confusion": lambda: plots.confusion(evaluation()),
    "accuracy_against_eps": lambda: plots.accuracy_against_eps(attacks()),
}


@pytest.mark.parametrize("name", ALL)
def test_every_figure_becomes_a_png_and_an_svg(name, tmp_path):
    path = plots.save_png(ALL[name](), tmp_path / "deep" / "figure.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 400
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]
    svg = plots.to_svg(ALL[name](), "a <label>")
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.get("aria-label") == "a <label>"
    assert "DejaVu" not in svg
    assert plots.INK not in svg
    assert svg == plots.to_svg(ALL[name](), "a <label>")


@pytest.mark.parametrize("name", ALL)
def test_axes_are_named(name):
    figure = ALL[name]()
    bottom = [axis for axis in figure.axes if axis.get_xlabel()]
    assert bottom
    assert all(axis.get_ylabel() for axis in figure.axes)


def test_odd_class_names_are_text():
    """No formula, no markup, no warning for a script that the font lacks."""
    svg = plots.to_svg(plots.confusion([[1, 0], [0, 1]], ["<script>$x^$", "人"], "$\\frac$"))
    assert "<script" not in svg
    texts = [t.text for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "<script>$x^$" in texts
    assert "人" in texts


def test_a_full_figure_leaves_global_settings_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.to_svg(plots.history(LINES))
    assert dict(mpl.rcParams) == before


def test_adversarial_training_has_a_curve_of_its_own() -> None:
    plain = [
        {"train_accuracy": 0.8, "validation_accuracy": a, "train_loss": 1, "validation_loss": 1} for a in (0.7, 0.8)
    ]
    attacked = [line | {"validation_robust_accuracy": 0.4} for line in plain]
    names = [
        [t.get_text() for t in plots.history(lines).axes[1].get_legend().get_texts()] for lines in (plain, attacked)
    ]
    assert names == [["train", "validation"], ["train", "validation", "validation, attacked"]]
