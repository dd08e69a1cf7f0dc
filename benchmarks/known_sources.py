"""Known source or silence, and learning a source: the goals, with each family left out in turn and three seeds.

FOLDER holds ``texture.npz`` and ``clip.npz`` with features of the images, as ``python -m benchmarks.source_features``
makes them. A run then takes minutes. Run from the project's root: ``python -m benchmarks.known_sources FOLDER``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.common import SEEDS, keep
from facevalue.evaluation.calibration import novelty_limit
from facevalue.evaluation.metrics import auroc
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.added_source import NewImages, cross_validated, margins, with_sources
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body
from facevalue.models.novelty.sources import SourceDistance
from facevalue.models.source_space import Moments, Space
from facevalue.training.probe import fit_probe
from facevalue.training.settings import ProbeSettings

CLASSES = ("ai", "real")
FEATURES = ("both", "texture", "clip")
SHARES = (0.5, 0.7, 0.8, 0.92, 0.98)
SHARE = 0.92
STRENGTHS = (3.0, 30.0, 200.0)
SIZES = (5, 10, 20, 50)
FAMILIES = {"stable-diffusion-2.1-saved": "stable-diffusion-2.1"}
"""Sources that are left out with another, because the same generator made them."""

Mask = NDArray[np.bool_]
"""(n,) which of the images."""


@dataclass(frozen=True, eq=False)
class Cached:
    """Features of all images.

    Attributes
    ----------
    x : (n, v, d) by image and version.
    y, source : (n,) label and source of each image.
    unseen : (n,) whether it is of ``unseen-faces``, which is not used here.
    versions : names of the v versions.
    """

    x: Tensor
    y: NDArray[np.int64]
    source: NDArray[np.str_]
    unseen: NDArray[np.bool_]
    versions: tuple[str, ...]

    def version(self, name: str, rows: NDArray[np.bool_]) -> Tensor:
        """(m, d) of one version of these images."""
        return self.x[torch.from_numpy(rows), self.versions.index(name)]


def cached(folder: Path, which: str) -> Cached:
    """Features that were computed before: ``texture`` (projected at random to 1024 numbers), ``clip`` or ``both``."""
    names = ("texture", "clip") if which == "both" else (which,)
    parts = []
    for name in names:
        found = np.load(folder / f"{name}.npz")
        x = torch.from_numpy(found["x"].astype(np.float32))
        parts.append(x / x[:, 0].std())
    return Cached(
        torch.cat(parts, 2),
        np.array([CLASSES.index(label) for label in found["label"]], np.int64),
        found["source"].astype(str),
        found["top"] == "unseen-faces",
        tuple(found["versions"].astype(str)),
    )


class Given(Body):
    """A body whose features are given: only its head is used."""

    pooled = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, 2)

    def maps(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def embed(self, maps: Tensor) -> Tensor:
        raise NotImplementedError

    def stages(self) -> list[nn.Module]:
        return [self]

    @property
    def cam_layer(self) -> nn.Module:
        return self


def trained(data: Cached, train: Mask, held_out: Mask) -> Classifier:
    """A probe with temperature and source distances; the limit is set later."""
    body = Given(data.x.shape[2])
    features = data.version("clean", train), data.y[train]
    other = data.version("clean", held_out), data.y[held_out]
    settings = ProbeSettings(loss="squared", strengths=STRENGTHS)
    fit_probe(features, other, 2, settings, balanced=True).put_into(body.head)
    with torch.no_grad():
        temperature = fit_temperature(body.head(other[0]).double(), other[1])
    card = ModelCard(
        classes=CLASSES,
        positive="real",
        preprocessing=Preprocessing(),
        network=NetworkFacts(name="given"),
        temperature=temperature,
    )
    return Classifier(body, card, score_of(data, train)).eval()


def score_of(data: Cached, train: NDArray[np.bool_]) -> SourceDistance:
    """The distances to the sources of these images."""
    names = sorted(set(data.source[train]))
    numbers = np.array([names.index(one) for one in data.source[train]], np.int64)
    features = data.version("clean", train)
    space = Space.of(features)
    labels = torch.tensor([int(data.y[data.source == name][0]) for name in names])
    moments = Moments.of(space.inside(features), numbers, len(names))
    return SourceDistance.of(space, moments, nn.functional.one_hot(labels, 2).T.float())


def distances(model: Classifier, x: Tensor) -> NDArray[np.float64]:
    """(n,) distances to the nearest source."""
    with torch.no_grad():
        logits = model.body.head(x)
        found: NDArray[np.float64] = model.novelty_score(x, logits, model.decide(logits)).double().numpy()
    return found


def split(data: Cached, families: NDArray[np.str_], left_out: str, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Masks: of known sources' images 60 % for training, 20 % to choose on, 20 % to test; and the left-out family."""
    rng = np.random.default_rng(seed)
    part = np.full(len(data.y), 3)
    for source in sorted(set(data.source)):
        rows = rng.permutation(np.flatnonzero((data.source == source) & ~data.unseen))
        part[rows] = np.arange(len(rows)) % 5
    known = ~data.unseen & (families != left_out)
    return {
        "train": known & (part <= 2),
        "held out": known & (part == 3),
        "test": known & (part == 4),
        "left out": ~data.unseen & (families == left_out),
    }


def silence(model: Classifier, data: Cached, masks: Mapping[str, NDArray[np.bool_]], family: str) -> dict[str, Any]:
    """Shares answered and right on known sources by version; silent and accused on the left-out one; by limit."""
    held = distances(model, data.version("clean", masks["held out"]))
    found: dict[str, Any] = {"left_out": family, "label": CLASSES[int(data.y[masks["left out"]][0])]}
    own, other = (distances(model, data.version("clean", masks[name])) for name in ("test", "left out"))
    both = np.concatenate([own, other])
    found["auroc"] = auroc(np.repeat([0, 1], [len(own), len(other)]).astype(np.int64), np.stack([-both, both], 1), 1)
    for share in SHARES:
        limit = novelty_limit(held, share)
        row: dict[str, Any] = {}
        for version in ("clean", "q60", "q40"):
            x, y = data.version(version, masks["test"]), data.y[masks["test"]]
            answered = distances(model, x) <= limit
            right = (margins(model, x).numpy() >= 0) == (y == 1)
            row[version] = {"answered": float(answered.mean()), "right": float(right[answered].mean())}
            x = data.version(version, masks["left out"])
            silent = distances(model, x) > limit
            ai = margins(model, x).numpy() < 0
            row[version] |= {"silent": float(silent.mean()), "called_ai": float((~silent & ai).mean())}
        found[f"share {share}"] = row
    return found


def learning(data: Cached, families: NDArray[np.str_], real: str, ai: str, seed: int) -> Iterator[dict[str, Any]]:
    """Curves over the number of images: one real and one AI family left out and learned, and the real one alone."""
    masks = split(data, families, real, seed)
    masks = {name: mask & (families != ai) for name, mask in masks.items()}
    model = trained(data, masks["train"], masks["held out"])
    limit = novelty_limit(distances(model, data.version("clean", masks["held out"])), SHARE)
    rows = {}
    for name in (real, ai):
        mine = np.flatnonzero(~data.unseen & (families == name))
        rows[name] = np.random.default_rng(seed).permutation(mine)
    test_x, test_y = data.version("clean", masks["test"]), data.y[masks["test"]] == 1
    before = (margins(model, test_x).numpy() >= 0) == test_y
    for size in (0, *SIZES):
        for added in ("both", "real") if size else ("none",):
            new = [
                NewImages(label, data.x[torch.from_numpy(rows[name][:size]), 0])
                for name, label in ((real, 1), (ai, 0))
                if size and (added == "both" or label == 1)
            ]
            if any(len(rows[name]) < size + 20 for name in (real, ai)):
                continue
            after = model if not new else with_sources(model, new, cross_validated(model, new).weight)
            fresh = {
                name: data.x[torch.from_numpy(rows[name][max(SIZES) if len(rows[name]) > 70 else size :]), 0]
                for name in (real, ai)
            }
            score = {name: margins(after, x).numpy() for name, x in fresh.items()}
            now = margins(after, test_x).numpy() >= 0
            y = np.repeat([1, 0], [len(score[real]), len(score[ai])]).astype(np.int64)
            joined = np.concatenate([score[real], score[ai]])
            yield {
                "real": real,
                "ai": ai,
                "size": size,
                "added": added,
                "balanced": float(((score[real] >= 0).mean() + (score[ai] < 0).mean()) / 2),
                "auroc": auroc(y, np.stack([-joined, joined], 1), 1),
                "false_accusations": float((score[real] < 0).mean()),
                "ai_found": float((score[ai] < 0).mean()),
                "accused_answered": float(((score[real] < 0) & (distances(after, fresh[real]) <= limit)).mean()),
                "known_share": float((distances(after, fresh[real]) <= limit).mean()),
                "old_accuracy_before": float(before.mean()),
                "old_accuracy": float((now == test_y).mean()),
                "old_false_accusations_before": float((~before & test_y).sum() / test_y.sum()),
                "old_false_accusations": float((~now & test_y).sum() / test_y.sum()),
            }


def mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over rows of the same nested keys; names are left out."""
    keys = [key for key, value in rows[0].items() if not isinstance(value, str)]
    return {
        key: mean_of([row[key] for row in rows])
        if isinstance(rows[0][key], dict)
        else round(float(np.mean([row[key] for row in rows])), 3)
        for key in keys
    }


def measured(folder: Path, which: str, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of :func:`silence` for each family left out, and of :func:`learning`, for one seed."""
    torch.set_num_threads(1)
    data = cached(folder, which)
    families = np.array([FAMILIES.get(one, one) for one in data.source])
    label = {family: CLASSES[int(data.y[families == family][0])] for family in set(families)}
    rows, curves = [], []
    for family in sorted(label):
        masks = split(data, families, family, seed)
        rows.append(silence(trained(data, masks["train"], masks["held out"]), data, masks, family))
    real, ai = (sorted(f for f in label if label[f] == name) for name in ("real", "ai"))
    for i, one in enumerate(real):
        for step in (0, 2):
            curves += learning(data, families, one, ai[(i + seed + step) % len(ai)], seed)
    return rows, curves


def summary(rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over families, pairs and seeds, and the share of pairs that reach each goal."""
    of_size = [
        (size, added, [c for c in curves if (c["size"], c["added"]) == (size, added)])
        for size in (0, *SIZES)
        for added in ("none", "both", "real")
    ]
    return {
        "left_out_in_turn": mean_of(rows),
        "by_left_out": {
            f: mean_of([r for r in rows if r["left_out"] == f]) for f in sorted({r["left_out"] for r in rows})
        },
        "learning": [
            {
                "size": size,
                "added": added,
                "runs": len(chosen),
                **mean_of([{k: v for k, v in one.items() if k != "size"} for one in chosen]),
                "reach": {
                    "balanced .80": float(np.mean([one["balanced"] >= 0.8 for one in chosen])),
                    "auroc .90": float(np.mean([one["auroc"] >= 0.9 for one in chosen])),
                    "false accusations .05": float(np.mean([one["false_accusations"] <= 0.05 for one in chosen])),
                },
            }
            for size, added, chosen in of_size
            if chosen
        ],
    }


def main(folder: Path) -> None:
    """Measure and write the results."""
    jobs = [(folder, which, seed) for which in FEATURES for seed in SEEDS]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(measured, *zip(*jobs, strict=True)))
    figures = {}
    for which in FEATURES:
        own = [result for job, result in zip(jobs, found, strict=True) if job[1] == which]
        figures[which] = summary([row for rows, _ in own for row in rows], [c for _, curves in own for c in curves])
    source = cached(folder, FEATURES[0]).source
    counts = {str(name): int((source == name).sum()) for name in sorted(set(source))}
    keep("known_sources", {"seeds": list(SEEDS), "images": counts, **figures})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
