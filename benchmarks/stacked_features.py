"""Texture and CLIP together: joined, averaged or stacked heads, and twin sets, with families left out and three seeds.

Ways to use both:

- ``both``: one head on the features of both, joined.
- ``average``: the mean of the two heads' margins, each calibrated by its temperature.
- ``stacked``: logistic regression on the two margins. It is fitted to margins of training images that the heads have
  not seen (five folds), then calibrated by a temperature.
- ``stacked by family``: as before, but the folds are families, so a head never knows the family that it judges.

Twins are a collection of photographs and a generator that was trained to imitate it, saved alike: CelebA-HQ with
ProGAN, FFHQ with StyleGAN. A head is fitted to twins alone; or to twins less the mean of each pair, in which only the
difference between real and AI is left; or to all sources and these.

FOLDER is made by ``python -m benchmarks.source_features``; ``unseen-faces`` is not used. Run from the project's root:
``python -m benchmarks.stacked_features FOLDER [SEED …]``.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common import SEEDS, keep
from benchmarks.known_sources import SHARE, Cached, Mask, mean_of, score_of, split
from benchmarks.stacked_heads import ONE, WAYS, Faces, Floats, Head, Margins, ways_of
from facevalue.evaluation import metrics
from facevalue.evaluation.calibration import novelty_limit

QUALITIES = ("clean", "q60", "q40")
TWINS = (("celebahq", "pggan-celebahq"), ("ffhq", "stylegan1"))
"""Photographs, and a generator that was trained on this collection."""


class Silence:
    """The limit on the distance to the nearest source of the class that a way predicts."""

    def __init__(self, data: Cached, masks: Mapping[str, Mask], way: Margins) -> None:
        self._data, self._way = data, way
        self._score = score_of(data, masks["train"])
        self._limit = novelty_limit(self._distances("clean", masks["held out"]), SHARE)

    def _distances(self, version: str, rows: Mask) -> Floats:
        x = self._data.version(version, rows)
        decided = torch.from_numpy((self._way(version, rows) >= 0).astype(np.int64))
        with torch.no_grad():
            found: Floats = self._score(x, torch.empty(len(x), 2), decided).double().numpy()
        return found

    def answered(self, version: str, rows: Mask) -> Mask:
        """(m,) whether an image of these rows is within the limit."""
        return self._distances(version, rows) <= self._limit


def family_left_out(faces: Faces, family: str, seed: int) -> Iterator[dict[str, Any]]:
    """For each way: known images, by quality, and those of the family that nothing was learned from."""
    data = faces.of["clip"]
    masks = split(data, faces.families, family, seed)
    test, left = masks["test"], masks["left out"]
    is_real = faces.label(family) == "real"
    against = test & (faces.y != int(is_real))
    for name, way in ways_of(faces, masks, seed).items():
        row: dict[str, Any] = {"way": name, "left_out": family, "label": faces.label(family)}
        silence = Silence(faces.of[name if name in ONE else "clip"], masks, way)
        for version in QUALITIES:
            margin, y = way(version, test), faces.y[test]
            p = 1 / (1 + np.exp(-margin))
            right, answered = (margin >= 0) == (y == 1), silence.answered(version, test)
            row[version] = {
                "accuracy": float(right.mean()),
                "auroc": metrics.auroc(y, np.stack([1 - p, p], 1), 1),
                "ece": metrics.ece(y, np.stack([1 - p, p], 1)),
                "answered": float(answered.mean()),
                "right_among_answered": float(right[answered].mean()),
            }
            own, within = way(version, left), silence.answered(version, left)
            joined = np.concatenate([way(version, against), own]) * (1 if is_real else -1)
            row[version]["left_out"] = {
                "right": float(((own >= 0) == is_real).mean()),
                "auroc": _auroc(joined, len(own)),
                "silent": float((~within).mean()),
                "called_ai": float(((own < 0) & within).mean()),
            }
        yield row


def pair_left_out(faces: Faces, real: str, ai: str, seed: int) -> Iterator[dict[str, Any]]:
    """For each way, and each use of twins: AUROC between a real and an AI family that nothing was learned from."""
    masks = split(faces.of["clip"], faces.families, real, seed)
    masks = {name: mask & (faces.families != ai) for name, mask in masks.items()}
    rows = {name: ~faces.of["clip"].unseen & (faces.families == name) for name in (real, ai)}
    pair = {"real": real, "ai": ai, "twins": (real, ai) in TWINS}

    def row(way: str, of: Margins) -> dict[str, Any]:
        first, second = of("clean", rows[ai]), of("clean", rows[real])
        return {"way": way, **pair, "auroc": _auroc(np.concatenate([first, second]), len(second))}

    for name, way in ways_of(faces, masks, seed, by_family=False).items():
        yield row(name, way)
    known = [twins for twins in TWINS if not {real, ai} & set(twins)]
    for name in ONE if known else ():
        for use, margin in twin_heads(faces, name, known, masks).items():
            yield row(f"{name}, {use}", margin)


def twin_heads(faces: Faces, name: str, known: list[tuple[str, str]], masks: Mapping[str, Mask]) -> dict[str, Margins]:
    """Heads fitted to twins alone, to twins less the mean of their pair, and to all sources and these."""
    data = faces.of[name]
    twins = {part: masks[part] & np.isin(faces.families, np.ravel(known)) for part in ("train", "held out")}
    centred = _centred(data, faces.families, known, masks["train"])
    both = Cached(
        torch.cat([data.x, centred.x]),
        *(np.concatenate([one, one]) for one in (data.y, data.source, data.unseen)),
        data.versions,
    )
    joined = {part: np.concatenate([masks[part], twins[part]]) for part in ("train", "held out")}
    fits = {
        "twins": (data, twins),
        "twins less their mean": (centred, twins),
        "all, and twins less their mean": (both, joined),
    }
    found: dict[str, Margins] = {}
    for use, (learned, parts) in fits.items():
        found[use] = Head.fitted(learned, parts["train"], parts["held out"]).on(data)
    return found


def _centred(data: Cached, families: NDArray[np.str_], known: list[tuple[str, str]], train: Mask) -> Cached:
    """The features with the mean of each pair of twins, both sides counted alike, moved to that of all training."""
    x: Tensor = data.x.clone()
    middle = data.version("clean", train).mean(0)
    for twins in known:
        sides = [data.version("clean", train & (families == one)).mean(0) for one in twins]
        x[torch.from_numpy(np.isin(families, twins))] += middle - (sides[0] + sides[1]) / 2
    return replace(data, x=x)


def _auroc(scores: Floats, positives: int) -> float:
    """Of scores whose last ``positives`` should be higher."""
    y = np.repeat([0, 1], [len(scores) - positives, positives]).astype(np.int64)
    return metrics.auroc(y, np.stack([-scores, scores], 1), 1)


def measured(folder: Path, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of :func:`family_left_out` and of :func:`pair_left_out` for one seed."""
    torch.set_num_threads(1)
    faces = Faces.read(folder)
    families = sorted(set(faces.families))
    alone = [row for family in families for row in family_left_out(faces, family, seed)]
    real, ai = ([family for family in families if faces.label(family) == label] for label in ("real", "ai"))
    return alone, [row for one in real for other in ai for row in pair_left_out(faces, one, other, seed)]


def pairs_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and lowest AUROC over the pairs, and the mean over pairs that are twins themselves."""
    found = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        names = sorted({(row["real"], row["ai"]) for row in own})
        means = {one: float(np.mean([row["auroc"] for row in own if (row["real"], row["ai"]) == one])) for one in names}
        twins = [value for pair, value in means.items() if pair in TWINS]
        found[way] = {
            "pairs": len(means),
            "auroc": round(float(np.mean(list(means.values()))), 3),
            "lowest": round(min(means.values()), 3),
            "twins_left_out": round(float(np.mean(twins)), 3) if twins else None,
        }
    return found


def main(folder: Path, seeds: Sequence[int] = SEEDS) -> None:
    """Measure and write the results."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(measured, [folder] * len(seeds), seeds))
    alone = [row for rows, _ in found for row in rows]
    pairs = [row for _, rows in found for row in rows]
    figures = {
        "command": shlex.join(["python", "-m", "benchmarks.stacked_features", "FOLDER", *map(str, seeds)]),
        "seeds": list(seeds),
        "share": SHARE,
        "family_left_out": {way: mean_of([row for row in alone if row["way"] == way]) for way in WAYS},
        "by_seed": {way: [mean_of([row for row in rows if row["way"] == way]) for rows, _ in found] for way in WAYS},
        "by_left_out": {
            way: {
                family: mean_of([row for row in alone if (row["way"], row["left_out"]) == (way, family)])
                for family in sorted({row["left_out"] for row in alone})
            }
            for way in WAYS
        },
        "pair_left_out": pairs_of(pairs),
        "pair_left_out_where_twins_are_known": pairs_of(_comparable(pairs)),
    }
    keep("stacked_features", figures)


def _comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of pairs for which heads of twins were measured too."""
    have = {(row["real"], row["ai"]) for row in rows if row["way"] not in WAYS}
    return [row for row in rows if (row["real"], row["ai"]) in have]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]] or SEEDS)
