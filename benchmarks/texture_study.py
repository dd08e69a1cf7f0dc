"""What the texture network's parts are worth on real or AI faces, and whether more pictures would help.

Features of all pictures of ``real-or-ai-face`` are computed once, with every zoom and mirrored, and parts of them are
judged by four-fold cross-validation with a ridge classifier in place of the probe. The recipe's parts were chosen by
this table, so that its own figures are on pictures that the choice has seen; ``unseen-faces`` took no part in it.
Run from the project's root: ``python -m benchmarks.texture_study``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from benchmarks.common import data, keep, mobilenet
from facevalue.card import Card
from facevalue.classifier import Classifier
from facevalue.data.pictures import pictures
from facevalue.data.scan import scan
from facevalue.networks.weights import Wanted, prepare
from facevalue.outputs import Extractor
from facevalue.pixels import Geometry

NAME, SIZE = "mobilenetv2_100-texture", 256
ZOOMS, LEVELS = (1.0, 2.0, 3.0), (1, 2, 3, 4)
CHANNELS = {1: 24, 2: 32, 3: 64, 4: 96}
PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003)
FOLDS, SHARES = 4, (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def features(mirrored: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n, d) of all pictures, zoom by zoom and level by level, and their labels."""
    body, facts = prepare(
        Wanted(
            NAME,
            classes=2,
            size=SIZE,
            weights=mobilenet(),
            options={"levels": LEVELS, "zooms": ZOOMS, "mirrored": mirrored},
        )
    )
    classes = ("ai", "real")
    card = Card(classes=classes, geometry=Geometry(size=SIZE, filter="bicubic"), network=facts)
    chosen = pictures(scan(data("real-or-ai-face")), card.geometry, classes)
    return Extractor(Classifier(body, card).eval()).features(chosen).numpy(), chosen.labels


def kernels(x: NDArray[np.float32], scaled: bool) -> dict[tuple[float, int], NDArray[np.float64]]:
    """Products of all pictures' features by zoom and level, centred and each scaled (or not)."""
    found, start = {}, 0
    for zoom in ZOOMS:
        for level in LEVELS:
            width = CHANNELS[level] * (CHANNELS[level] + 1) // 2
            part = x[:, start : start + width].astype(np.float64)
            start += width
            part -= part.mean(0)
            if scaled:
                part /= part.std(0) + 1e-6 * part.std()
            found[zoom, level] = part @ part.T
    assert start == x.shape[1]
    return found


def accuracy(kernel: NDArray[np.float64], y: NDArray[np.int64], share: float = 1.0) -> float:
    """Of the best penalty, by four-fold cross-validation, learning from this share of each fold's training pictures."""
    kernel = kernel / np.trace(kernel) * len(kernel)
    target = np.where(y == 1, 1.0, -1.0)
    right = np.zeros(len(PENALTIES))
    for learned, judged in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(target, y):
        some = np.random.default_rng(0).permutation(learned)[: round(share * len(learned))]
        inside, across = kernel[np.ix_(some, some)], kernel[np.ix_(judged, some)]
        for i, penalty in enumerate(PENALTIES):
            scores = across @ np.linalg.solve(inside + penalty * np.eye(len(some)), target[some])
            right[i] += ((scores > 0) == (target[judged] > 0)).sum()
    return float(right.max() / len(y))


def total(
    parts: dict[tuple[float, int], NDArray[np.float64]], zooms: Sequence[float], levels: Sequence[int]
) -> NDArray[np.float64]:
    return np.sum([parts[zoom, level] for zoom in zooms for level in levels], axis=0)


def main() -> None:
    rows: dict[str, dict[str, float]] = {}
    curve: dict[str, float] = {}
    for name, mirrored in (("mirrored", True), ("as it is", False)):
        x, y = features(mirrored)
        parts = kernels(x, scaled=True)
        table = rows.setdefault(name, {})
        for count in range(1, len(ZOOMS) + 1):
            for zooms in combinations(ZOOMS, count):
                table[f"zooms {zooms}"] = accuracy(total(parts, zooms, LEVELS), y)
        for level in LEVELS:
            table[f"level {level} alone"] = accuracy(total(parts, ZOOMS, [level]), y)
            table[f"without level {level}"] = accuracy(total(parts, ZOOMS, [k for k in LEVELS if k != level]), y)
        table["scaled as a whole"] = accuracy(total(kernels(x, scaled=False), ZOOMS, LEVELS), y)
        if mirrored:
            whole = total(parts, ZOOMS, LEVELS)
            curve = {f"{round(share * len(y) * (FOLDS - 1) / FOLDS)}": accuracy(whole, y, share) for share in SHARES}
        # After each half: what is measured so far is not lost if the other is stopped.
        found = {"accuracy": rows, "accuracy_by_pictures_learned": curve}
        keep("texture_study", {"pictures": len(y), "folds": FOLDS, **found})


if __name__ == "__main__":
    main()
