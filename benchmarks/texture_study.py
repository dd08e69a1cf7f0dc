"""The contribution of each part of the texture network on real or AI faces.

Features of all images of ``real-or-ai-face`` are computed once, with every zoom and mirrored. Parts of them are
evaluated by cross-validation with a ridge classifier in place of the probe, for each seed on the images outside that
seed's test split. The table has the means over the seeds, so an image in one seed's test split still takes part through
the other seeds. ``unseen-faces`` is not used.
Run from the project's root: ``python -m benchmarks.texture_study``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from benchmarks.common import SEEDS, data, keep, mean, mobilenet
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evidence.card import ModelCard
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor
from facevalue.models.networks.weights import Wanted, prepare
from facevalue.training.recipe import Recipe, read
from facevalue.training.split_data import split_manifest

RECIPE, FOLDER = "real-or-ai/texture", "real-or-ai-face"
ZOOMS, LEVELS, WIDE = (1, 2), (1, 2, 3, 4), (1, 2)
PENALTIES = (0.1, 0.03, 0.01, 0.003, 0.001)
FOLDS = 5
POWERS = {"each": 1.0, "kind": 0.5, "kinds alike": 0.0}
"""Powers of a part's width that set its weight. The first two are available as ``probe.scale``."""

Part = tuple[int, str]
"""A zoom, and a level (``3``) or a group that is read inside (``wide 2``)."""


def parts_at(zooms: Iterable[int], levels: Iterable[int] = LEVELS, wide: Iterable[int] = ()) -> list[Part]:
    return [*((z, str(n)) for z in zooms for n in levels), *((z, f"wide {n}") for z in zooms for n in wide)]


def features(recipe: Recipe) -> tuple[NDArray[np.float32], dict[Part, int], ImageDataset]:
    """(n, d) of all images, the widths of their parts in this order, and the images."""
    options = {"levels": LEVELS, "zooms": ZOOMS, "views": ("upright", "mirrored"), "wide": WIDE, "wide_at": ZOOMS}
    preprocessing = recipe.preprocessing()
    body, facts = prepare(
        Wanted(recipe.network.name, classes=2, size=preprocessing.size, weights=mobilenet(), options=options)
    )
    card = ModelCard(classes=("ai", "real"), preprocessing=preprocessing, network=facts)
    chosen = dataset_of(scan(data(FOLDER)), preprocessing, card.classes)
    order = [
        part
        for zoom in ZOOMS
        for n in LEVELS  # a group's inside comes before its output
        for part in ([(zoom, f"wide {n}")] if n in WIDE else []) + [(zoom, str(n))]
    ]
    widths = dict(zip(order, body.kinds, strict=True))
    return Extractor(Classifier(body, card).eval()).features(chosen).numpy(), widths, chosen


def kernels(x: NDArray[np.float32], widths: Mapping[Part, int]) -> dict[Part, NDArray[np.float32]]:
    """Gram matrices of all images' features, part by part."""
    found, start = {}, 0
    for part, width in widths.items():
        values = x[:, start : start + width] - x[:, start : start + width].mean(0)
        values /= values.std(0) + 1e-6 * values.std()
        product = values @ values.T
        found[part] = product / np.trace(product)
        start += width
    return found


def joined(
    kernels: Mapping[Part, NDArray[np.float32]], widths: Mapping[Part, int], parts: Iterable[Part], power: float = 0.5
) -> NDArray[np.float32]:
    """The Gram matrix of several parts; the weight of a part grows with this power of its width."""
    total = np.sum([kernels[part] * np.float32(widths[part] ** power) for part in parts], axis=0)
    scaled: NDArray[np.float32] = total / np.trace(total) * np.float32(len(total))
    return scaled


def right(kernel: NDArray[np.float32], y: NDArray[np.int64], among: NDArray[np.int64]) -> float:
    """Cross-validated accuracy with the best penalty."""
    target = np.where(y == 1, 1, -1).astype(np.float32)
    counts = np.zeros(len(PENALTIES))
    for learned, judged in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(among, y[among]):
        some, held = among[learned], among[judged]
        inside, across = kernel[np.ix_(some, some)], kernel[np.ix_(held, some)]
        for i, penalty in enumerate(PENALTIES):
            fitted = np.linalg.solve(inside + np.float32(penalty) * np.eye(len(some), dtype=np.float32), target[some])
            counts[i] += ((across @ fitted > 0) == (target[held] > 0)).sum()
    return float(counts.max() / len(among))


def outside_test(chosen: ImageDataset) -> list[NDArray[np.int64]]:
    """Positions of the images outside the recipe's test split, for each seed."""
    found = []
    for seed in SEEDS:
        table = split_manifest(data(FOLDER), read(RECIPE, {"seed": seed}), None).table
        tested = {str(path) for path in table.loc[table["split"] == "test", "path"]}
        assert tested <= {str(path) for path in chosen.images}
        found.append(np.array([i for i, path in enumerate(chosen.images) if str(path) not in tested]))
    return found


def main() -> None:
    x, widths, chosen = features(read(RECIPE, {"gate.kind": "none"}))
    products, among = kernels(x, widths), outside_test(chosen)
    del x

    def judge(parts: Iterable[Part], power: float = 0.5) -> float:
        kernel = joined(products, widths, parts, power)
        return mean([right(kernel, chosen.labels, some) for some in among])

    table: dict[str, float] = {}
    for count in range(1, len(ZOOMS) + 1):
        for zooms in combinations(ZOOMS, count):
            table[f"zooms {zooms}"] = judge(parts_at(zooms))
            for wide_at in dict.fromkeys([*((zoom,) for zoom in zooms), zooms]):
                parts = [*parts_at(zooms), *parts_at(wide_at, (), WIDE)]
                table[f"zooms {zooms}, wide at {wide_at}"] = judge(parts)
    recipes = [*parts_at((1, 2)), *parts_at((2,), (), WIDE)]
    for name, power in POWERS.items():
        table[f"as the recipe, scaled {name}"] = judge(recipes, power)
    for part in recipes:
        table[f"{part[1]} at zoom {part[0]} alone"] = judge([part])
        table[f"without {part[1]} at zoom {part[0]}"] = judge([other for other in recipes if other != part])
    keep("texture_study", {"images": len(chosen), "folds": FOLDS, "seeds": list(SEEDS), "accuracy": table})


if __name__ == "__main__":
    main()
