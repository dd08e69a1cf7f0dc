"""Controls of sources on planted features, whose answers are known."""

from __future__ import annotations

from itertools import permutations as every_order

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from facevalue.evaluation.ridge import Gram
from facevalue.evaluation.source_controls import Controls, permutations
from facevalue.evaluation.source_findings import source_findings
from facevalue.evaluation.source_images import FEWEST, MOST_SOURCES, SourceImages, sample
from facevalue.evaluation.source_report import source_report
from facevalue.evidence.records import AnyEvidence, SourceReport

CLASSES = ("ai", "real")


def planted(
    of_class: float, of_source: float, sources: int = 3, per: int = 30
) -> tuple[SourceImages, NDArray[np.float64]]:
    """Features whose class and source means have these lengths per dimension, in noise of 1."""
    rng = np.random.default_rng(5)
    labels, names, x = [], [], []
    for label in CLASSES:
        centre = of_class * rng.normal(size=40)
        for i in range(sources):
            own = centre + of_source * rng.normal(size=40)
            x.append(own + rng.normal(size=(per, 40)))
            labels += [label] * per
            names += [f"{label}-{i}"] * per
    return SourceImages.of(CLASSES, labels, names, [""] * len(labels)), np.concatenate(x)


def codes(report: SourceReport) -> set[str]:
    return {found.code for found in source_findings(report, of_model=True)}


@pytest.fixture(scope="module")
def by_source() -> SourceReport:
    images, x = planted(0, 0.7)
    return source_report(images, x, "planted", {"constant": np.ones(len(x))})


@pytest.fixture(scope="module")
def by_class() -> SourceReport:
    images, x = planted(0.7, 0)
    return source_report(images, x, "planted", {"constant": np.ones(len(x)), "three": x[:, :3]})


def test_where_the_source_decides_everything_it_is_found(by_source: SourceReport) -> None:
    permuted = by_source.permuted
    assert permuted is not None
    assert by_source.accuracy > 0.9
    assert all(w.auroc is not None and w.auroc > 0.95 for w in by_source.within)
    assert permuted.explained is not None
    assert permuted.explained > 0.8
    assert {"sources-explain-accuracy", "source-unseen-at-chance"} <= codes(by_source)
    assert all(one.told is not None and one.told > 0.95 for one in by_source.sources)


def test_where_the_class_is_real_and_sources_are_alike_nothing_is_found(by_class: SourceReport) -> None:
    permuted = by_class.permuted
    assert permuted is not None
    assert by_class.accuracy > 0.99
    assert by_class.pairs_auroc is not None
    assert by_class.swaps_auroc is not None
    assert min(by_class.pairs_auroc, by_class.swaps_auroc) > 0.98
    assert all(w.auroc is not None and w.auroc < 0.65 for w in by_class.within)
    assert permuted.explained is not None
    assert permuted.explained < 0.15
    assert codes(by_class) == set()
    assert all(one.unseen is not None and one.unseen > 0.98 for one in by_class.sources)


def test_sources_that_differ_in_a_real_class_are_no_warning() -> None:
    images, x = planted(1, 0.7, sources=4)
    report = source_report(images, x, "planted", {})
    assert codes(report) == {"sources-told-apart"}


def test_the_mean_of_the_permutations_is_its_expectation(by_class: SourceReport) -> None:
    """Three sources of each class: permuted, two of one class and one of the other share a label."""
    permuted = by_class.permuted
    assert permuted is not None
    # Known is the class alone. Two of its three sources have the label that is predicted, in both classes.
    assert permuted.by_class == pytest.approx(2 / 3)
    assert permuted.mean == pytest.approx(2 / 3, abs=0.03)
    assert permuted.interval[0] <= permuted.mean <= permuted.interval[1]


def test_permutations_are_uniform_over_all_labellings_but_the_true_one() -> None:
    class_of = np.array([0, 0, 1, 1, 1])
    drawn = permutations(class_of, np.random.default_rng(0), 4000)
    possible = set(every_order(class_of.tolist())) - {tuple(class_of.tolist())}
    counts = {labels: sum(tuple(d.tolist()) == labels for d in drawn) for labels in possible}
    assert len(possible) == 9
    assert sum(counts.values()) == len(drawn)
    assert all(abs(n - 4000 / 9) < 5 * (4000 / 9) ** 0.5 for n in counts.values())


def test_one_source_in_each_class_cannot_be_told() -> None:
    images, x = planted(1, 1, sources=1)
    report = source_report(images, x, "planted", {})
    assert (report.permuted, report.pairs_auroc, report.swaps_auroc) == (None, None, None)
    assert all(one.told is None and one.unseen is None for one in report.sources)
    [found] = source_findings(report, of_model=True)
    assert found.code == "sources-cannot-be-told"
    assert "'ai', 'real': only one source" in found.text


def test_exchanged_sources_reverse_the_answers() -> None:
    """One property goes with one class in a pair of sources, and with the other class in the other pair."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 5))
    names = np.repeat(["small-ai", "large-ai", "large-real", "small-real"], 30)
    x[:, 0] += np.where(np.char.startswith(names, "large"), 4, -4)
    labels = ["ai" if "ai" in name else "real" for name in names]
    images = SourceImages.of(CLASSES, labels, names.tolist(), [""] * 120)
    report = source_report(images, x, "planted", {"first": x[:, 0]})
    assert report.swaps[0].auroc < 0.05
    assert "swapped-sources-reverse-answers" in codes(report)


def test_leaving_a_block_out_equals_a_new_fit() -> None:
    rng = np.random.default_rng(0)
    x, goals, weights = rng.normal(size=(30, 50)), rng.normal(size=(30, 2)), rng.uniform(0.5, 2, 30)
    gram, strength = Gram.of(x), 3.0
    out = np.array([1, 4, 7, 8])
    scaled = (x - x.mean(0)) / x.std(0)
    length = np.square(scaled).sum(1).mean()
    inside = np.setdiff1d(np.arange(30), out)
    # The penalty is that of all images; scikit-learn's weights are not normalised.
    fitted = Ridge(alpha=length / strength).fit(
        scaled[inside], goals[inside], sample_weight=weights[inside] / weights.mean()
    )
    np.testing.assert_allclose(
        gram.heads(goals, weights, strength).without(out), fitted.predict(scaled[out]), atol=1e-4
    )


def test_a_source_of_both_classes_is_left_out_of_both() -> None:
    images, x = planted(1, 0, sources=2)
    shared = SourceImages(images.classes, ("a", "b", "a", "b"), images.class_of, images.y, images.s, images.groups)
    controls = Controls.of(shared, x)
    pairs = controls.pairs(np.random.default_rng(0))
    # a with b would leave nothing to learn from.
    assert {pair.sources for pair in pairs} == {("a", "a"), ("b", "b")}
    assert all(pair.auroc > 0.9 for pair in pairs)


def test_groups_stay_on_one_side_of_a_fold() -> None:
    labels = ["ai"] * 60 + ["real"] * 60
    sources = [f"{i // 30}" for i in range(120)]
    images = SourceImages.of(CLASSES, labels, sources, [f"person {i // 3}" for i in range(120)])
    assert images.whole_groups
    for fit, ask in images.folds:
        assert not set(images.groups[fit]) & set(images.groups[ask])
    alone = SourceImages.of(CLASSES, labels, sources, sources)  # a source that is one group
    assert not alone.whole_groups
    assert len(alone.folds) == 5


def test_what_is_left_out_is_said() -> None:
    labels = ["ai"] * 40 + ["real"] * (FEWEST - 1) + ["real"] * 20
    sources = ["x"] * 40 + ["few"] * (FEWEST - 1) + [""] * 5 + ["y"] * 15
    chosen = sample(labels, sources)
    assert chosen.possible
    assert chosen.small == {"real/few": FEWEST - 1}
    assert len(chosen.places) == 55
    assert "5 images have no source" in chosen.untold
    many = sample(["ai"] * 10 + ["real"] * 220, ["x"] * 10 + [f"s{i % 22}" for i in range(220)])
    assert any(f"only the {MOST_SOURCES}" in reason for reason in many.untold)
    nothing = sample(["ai"] * 40 + ["real"] * 5, ["x"] * 40 + ["y"] * 5)
    assert not nothing.possible
    assert any("no source of 'real'" in reason for reason in nothing.untold)
    assert len(sample(["ai", "real"] * 2000, ["x", "y"] * 2000).places) <= 800


def test_the_record_survives_json_and_has_a_table(by_source: SourceReport) -> None:
    found = by_source.changed(warnings=source_findings(by_source, of_model=True))
    assert msgspec.json.decode(msgspec.json.encode(found), type=AnyEvidence) == found
    assert len(found.to_frame()) == len(found.sources) == 6
    assert found.n == 180
    assert found.title() == "source controls"
    assert "kind" not in found.to_dict()
    [constant] = found.baselines
    assert constant.auroc == 0.5
