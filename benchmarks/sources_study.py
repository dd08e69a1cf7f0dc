"""The effect of more training sources on ``real-or-ai/texture``, on the same and on other sources, and their cost.

LFW and StyleGAN2 are held out for testing; images of the other four sources are cross-validated. Features are computed
once. ``unseen-faces`` is not used. Run from the project's root:
``python -m benchmarks.sources_study [RECIPE]``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import keep, mean, mobilenet
from benchmarks.products import QUARTERS, Floats, Ints, centred, products, quarters_of, ridge
from benchmarks.real_or_ai import manifest
from benchmarks.real_or_ai_sources import HOME, TRAINED
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evaluation.metrics import auroc
from facevalue.models.classifier import Classifier
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read

REAL, AI = LEFT_OUT = ("lfw", "stylegan2-omi")
FURTHER = ("utkface", "stable-diffusion-2.1")
LEARNED = {
    "ffhq, stylegan": HOME,
    "and utkface": (*HOME, "utkface"),
    "and stable-diffusion-2.1": (*HOME, "stable-diffusion-2.1"),
    "and both": (*HOME, *FURTHER),
}
FOLDS = 5
BORDERS = (-0.1, -0.05, 0.0, 0.05, 0.1)
"""Thresholds on the score (-1 is AI, 1 is real) above which an image counts as real."""
SETTINGS = ((0.02, 200), (0.08, 30), (0.08, 200), (0.08, 1000), (0.5, 200), (2.0, 3))
"""``probe.quarter_consistency`` and the strength."""


def folds_of(source: NDArray[np.str_]) -> Ints:
    """(n,) fold of every image; the images of each source are spread evenly over the folds."""
    fold = np.zeros(len(source), np.int64)
    for name in TRAINED:
        of_source = np.random.default_rng(0).permutation(np.flatnonzero(source == name))
        fold[of_source] = np.arange(len(of_source)) % FOLDS
    return fold


def figures(
    home: Floats, real: Floats, away: Floats, is_real: NDArray[np.bool_], border: float = 0.0
) -> dict[str, float]:
    """Figures of the scores of training sources (``real``: the truth) and of held-out sources (``is_real``)."""
    told = away > border
    return {
        "home_accuracy": float(((home > border) == real).mean()),
        f"recall_{REAL}": float(told[is_real].mean()),
        f"recall_{AI}": float((~told[~is_real]).mean()),
        "left_out_balanced_accuracy": float((told[is_real].mean() + (~told[~is_real]).mean()) / 2),
        # AUROC: how well the scores rank, independent of the threshold.
        "left_out_auroc": auroc(is_real.astype(np.int64), np.stack([-away, away], 1), 1),
    }


def sources(recipe: str) -> tuple[Classifier, ImageDataset, NDArray[np.str_]]:
    """The recipe's network before training, the images of all sources, and (n,) the source of each."""
    classifier = new_classifier(read(recipe, {"network.weights": mobilenet(), "gate.kind": "none"}), ("ai", "real"))
    with tempfile.TemporaryDirectory() as folder:
        found = scan(manifest(Path(folder) / "all" / "manifest.csv", TRAINED))
    chosen = dataset_of(found, classifier.card.preprocessing, classifier.card.classes)
    return classifier, chosen, found.readable["source"].to_numpy(str)


class Study:
    """Features of all sources, and the training and test images of each fold."""

    def __init__(self, recipe: str) -> None:
        classifier, chosen, self.source = sources(recipe)
        self.real = chosen.labels == 1
        self.table = products(classifier, chosen)
        self.fold = folds_of(self.source)
        self.home, self.away = np.isin(self.source, HOME), np.flatnonzero(np.isin(self.source, LEFT_OUT))

    def scores(
        self, sources: tuple[str, ...], goals: Floats, quarter_consistency: float, strength: float
    ) -> tuple[Floats, list[Floats]]:
        """Cross-validated scores of the training sources, and scores of the held-out sources for each fold."""
        at_home = np.zeros_like(goals)
        away = []
        for fold in range(FOLDS):
            learned = np.flatnonzero(np.isin(self.source, sources) & (self.fold != fold))
            asked = np.flatnonzero(self.home & (self.fold == fold))
            table, level = centred(self.table, learned, len(goals)), goals[learned].mean(0)
            differences = [(quarters_of(learned, len(goals)), quarter_consistency / QUARTERS)]
            every = np.concatenate([asked, self.away])
            found = ridge(table, goals - level, learned, every, strength, differences) + level
            at_home[asked] = found[: len(asked)]
            away.append(found[len(asked) :])
        return at_home[self.home], away

    def judged(self, at_home: Floats, away: list[Floats], border: float = 0.0) -> dict[str, float]:
        """Means over the folds."""
        each = [figures(at_home, self.real[self.home], a, self.real[self.away], border) for a in away]
        return {key: mean([entry[key] for entry in each]) for key in each[0]}


def main(recipe: str = "real-or-ai/texture") -> None:
    study, name = Study(recipe), f"sources_study.{Path(recipe).stem}"
    probe = read(recipe).probe
    own = (probe.quarter_consistency, probe.strengths[0])
    signs = np.where(study.real, 1.0, -1.0)
    result: dict[str, object] = {"recipe": recipe, "folds": FOLDS, "left_out": LEFT_OUT}
    result["by_sources"] = {
        learned: study.judged(*study.scores(sources, signs, *own)) for learned, sources in LEARNED.items()
    }
    keep(name, result)
    every = LEARNED["and both"]
    scores = study.scores(every, signs, *own)
    result["by_border"] = {f"{border:g}": study.judged(*scores, border) for border in BORDERS}
    # One score per source: the highest of the real sources against the highest of the generated ones.
    by_source = study.scores(every, (study.source[:, None] == np.array(every)).astype(float), *own)
    real = np.array([TRAINED[source][0] == "real" for source in every])
    apart = [part[:, real].max(1) - part[:, ~real].max(1) for part in (by_source[0], *by_source[1])]
    result["a_score_a_source"] = study.judged(apart[0], apart[1:])
    keep(name, result)
    result["by_steady_and_strength"] = {
        f"{quarter_consistency:g}, {strength}": study.judged(*study.scores(every, signs, quarter_consistency, strength))
        for quarter_consistency, strength in SETTINGS
    }
    keep(name, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
