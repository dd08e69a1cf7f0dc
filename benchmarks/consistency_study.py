"""The effect of ``probe.quarter_consistency`` on a texture probe, and the number of images that it needs.

Features of ``real-or-ai/texture`` are computed once for all images of ``real-or-ai-face`` and their quarters. Then each
value of ``probe.quarter_consistency`` is evaluated as in ``texture_study``, on the images outside each seed's test
split. Run from the project's root: ``python -m benchmarks.consistency_study``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from benchmarks.common import data, keep, mean, mobilenet
from benchmarks.products import QUARTERS, products, quarters_of, ridge
from benchmarks.texture_study import FOLDER, FOLDS, RECIPE, outside_test
from facevalue.data.dataset import dataset_of
from facevalue.data.scan import scan
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read

SHARES = (0.1, 0.2, 0.4, 0.6, 0.8)
STEADY = (0.0, 0.02, 0.08, 0.32)
STRENGTHS = (30, 100, 200, 1000)
CURVE_FOLDS = (2, 3, 5, 10)
"""With more folds, each trains on more images."""


def right(
    table: NDArray[np.float32],
    y: NDArray[np.int64],
    among: NDArray[np.int64],
    quarter_consistency: float,
    strength: float,
    folds: int = FOLDS,
    share: float = 1.0,
) -> float:
    """Cross-validated accuracy with this share of each fold's training images."""
    count, goals = 0, np.where(y == 1, 1.0, -1.0)
    for learned, judged in StratifiedKFold(folds, shuffle=True, random_state=0).split(among, y[among]):
        some = among[np.random.default_rng(0).permutation(learned)[: round(share * len(learned))]]
        held = among[judged]
        differences = [(quarters_of(some, len(y)), quarter_consistency / QUARTERS)] if quarter_consistency else []
        count += int(((ridge(table, goals, some, held, strength, differences) > 0) == (goals[held] > 0)).sum())
    return count / len(among)


def main() -> None:
    classifier = new_classifier(read(RECIPE, {"network.weights": mobilenet(), "gate.kind": "none"}), ("ai", "real"))
    chosen = dataset_of(scan(data(FOLDER)), classifier.card.preprocessing, classifier.card.classes)
    gram = products(classifier, chosen)
    among, y = outside_test(chosen), chosen.labels
    recipe = read(RECIPE).probe
    table: dict[str, dict[str, float]] = {}
    for quarter_consistency in STEADY:
        table[f"quarter_consistency {quarter_consistency:g}"] = {
            f"strength {strength}": mean([right(gram, y, some, quarter_consistency, strength) for some in among])
            for strength in STRENGTHS
        }
        keep("consistency_study", {"folds": FOLDS, "accuracy": table})
    curves: dict[str, dict[str, float]] = {}
    for name, quarter_consistency in (("as the recipe", recipe.quarter_consistency), ("not quarter_consistency", 0.0)):
        curve = curves.setdefault(name, {})
        for folds, share in [*((FOLDS, share) for share in SHARES), *((f, 1.0) for f in CURVE_FOLDS)]:
            learned = round(share * mean([len(some) for some in among]) * (folds - 1) / folds)
            curve[str(learned)] = mean(
                [right(gram, y, some, quarter_consistency, recipe.strengths[0], folds, share) for some in among]
            )
        curves[name] = {key: curve[key] for key in sorted(curve, key=int)}
        keep("consistency_study", {"folds": FOLDS, "accuracy": table, "accuracy_by_images_learned": curves})


if __name__ == "__main__":
    main()
