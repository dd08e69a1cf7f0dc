"""Known sources, fixed as ``benchmarks.known_sources`` chose it: ``unseen-faces``, and the price of silence.

1. ``unseen_faces``: images on which nothing was chosen, of three sources. Once with all sources known, so that these
   are new images of known sources; once with the family of each left out.
2. ``curve``: with each family left out in turn, the share of known images that are answered, where the limit is chosen
   *afterwards* so that a given share of the left-out images is silent. No way to choose a limit can do better.
3. ``limit_from_left_out``: a limit that is chosen beforehand, so that 80 % of the images of the *other* families would
   be silent if each of them were left out in turn; applied to the left-out family.

Adds these keys to ``results/known_sources.json``. Run after ``benchmarks.known_sources``, from the project's root:
``python -m benchmarks.known_sources_unseen FOLDER``.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import SEEDS, keep, kept
from benchmarks.known_sources import FAMILIES, SHARE, Cached, Mask, cached, distances, mean_of, score_of, split, trained
from facevalue.evaluation.calibration import novelty_limit
from facevalue.models.added_source import margins
from facevalue.models.classifier import Classifier

LIMITS = (0.8, SHARE)
SILENT = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
AIM = 0.8
PRICE_SEED = 0
"""Parts 2 and 3 are of one seed."""


def by_source(data: Cached, families: NDArray[np.str_], left_out: str | None, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of the sources of ``unseen-faces``: those of the left-out family, or all if no family is."""
    masks = split(data, families, left_out or "", seed)
    model = trained(data, masks["train"], masks["held out"])
    held = distances(model, data.version("clean", masks["held out"]))
    wanted = data.unseen if left_out is None else data.unseen & (families == left_out)
    for source in sorted(set(data.source[wanted])):
        mine = wanted & (data.source == source)
        is_real = bool(data.y[mine][0] == 1)
        row: dict[str, Any] = {
            "source": str(source),
            "known": "yes" if left_out is None else "no",
            "n": int(mine.sum()),
        }
        for share in LIMITS:
            limit = novelty_limit(held, share)
            for version in ("clean", "q60", "q40"):
                x = data.version(version, mine)
                answered = distances(model, x) <= limit
                ai = margins(model, x).numpy() < 0
                right = answered & (ai != is_real)
                row[f"share {share}, {version}"] = {
                    "answered": float(answered.mean()),
                    "silent": float((~answered).mean()),
                    "right": float(right.mean()),
                    "called_ai": float((answered & ai).mean()),
                }
        yield row


def price(data: Cached, families: NDArray[np.str_], family: str, seed: int) -> dict[str, Any]:
    """Shares of known images answered at given shares of silence, and by the limit from the other families."""
    masks = split(data, families, family, seed)
    model = trained(data, masks["train"], masks["held out"])
    own = distances(model, data.version("clean", masks["test"]))
    left = distances(model, data.version("clean", masks["left out"]))
    limit = limit_from_left_out(model, data, families, masks)
    return {
        **{f"silent {share}": float((own <= np.quantile(left, 1 - share)).mean()) for share in SILENT},
        "from left out": {"answered": float((own <= limit).mean()), "silent": float((left > limit).mean())},
    }


def limit_from_left_out(model: Classifier, data: Cached, families: NDArray[np.str_], masks: dict[str, Mask]) -> float:
    """The limit at which 80 % of the images of a family, left out of the score's fit, are silent; each counts alike."""
    limits = []
    for other in sorted(set(families[masks["train"]])):
        inner = Classifier(model.body, model.card, score_of(data, masks["train"] & (families != other))).eval()
        left = (masks["train"] | masks["held out"]) & (families == other)
        limits.append(np.quantile(distances(inner, data.version("clean", left)), 1 - AIM))
    return float(np.mean(limits))


def measured(folder: Path, which: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of :func:`by_source` and of :func:`price` over the seeds."""
    data = cached(folder, which)
    families = np.array([FAMILIES.get(one, one) for one in data.source])
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        for family in (None, *sorted(set(families[data.unseen]))):
            rows += by_source(data, families, family, seed)
    names = sorted(set(families))
    prices = [{"family": str(family), **price(data, families, family, PRICE_SEED)} for family in names]
    return rows, prices


def main(folder: Path) -> None:
    """Measure, and add to the results."""
    torch.set_num_threads(1)
    unseen, curve = {}, {}
    for which in ("texture", "clip"):
        rows, prices = measured(folder, which)
        names = list(dict.fromkeys((row["known"], row["source"]) for row in rows))
        own = {name: [row for row in rows if (row["known"], row["source"]) == name] for name in names}
        unseen[which] = [{"known": name[0], "source": name[1], **mean_of(of_one)} for name, of_one in own.items()]
        curve[which] = {
            **mean_of(prices),
            "by_left_out": {
                family: mean_of([one for one in prices if one["family"] == family])
                for family in dict.fromkeys(one["family"] for one in prices)
            },
        }
    command = shlex.join(["python", "-m", "benchmarks.known_sources_unseen", *sys.argv[1:]])
    before = kept("known_sources")  # with the command and the machine of the other figures
    keep("known_sources", {**before, "unseen_faces": {"command": command, **unseen}, "price_of_silence": curve})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
