"""Real or AI: the recipe ``real-or-ai/families``, trained on ten sources, and what it answers by source.

Known sources: the test split, and ``unseen-faces``, which has other images of three of the ten sources. Unknown
sources: FFHQ and StyleGAN. Nothing was chosen on any of these images. The answers are the exported graph's.

Each seed draws its images, splits and copies, and runs in a process of its own. What a seed has found is kept in
``--scratch`` and in ``results/families.json`` as soon as it is done; the same command then goes on with the next one.

Run from the project's root, with a file of CLIP's weights:
``python -m benchmarks.families CLIP.safetensors --seeds 0 1 2 --each 100 --scratch FOLDER``.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import facevalue as fv
from benchmarks.common import ROOT, SEEDS, data, keep, mean, train
from benchmarks.face_gate import DETECTOR
from benchmarks.real_or_ai import Source
from facevalue.support import files

LEARNED: dict[str, Source] = {
    "utkface": ("real", ("faces-by-source", "real", "utkface")),
    "lfw": ("real", ("faces-by-source", "real", "lfw")),
    "celebahq": ("real", ("faces-more-sources", "real", "celebahq")),
    "mebeauty": ("real", ("faces-more-sources", "real", "mebeauty")),
    "stylegan2-omi": ("ai", ("faces-by-source", "ai", "stylegan2-omi")),
    "stable-diffusion-2.1": ("ai", ("faces-by-source", "ai", "stable-diffusion-2.1")),
    "stable-diffusion-2.1-saved": ("ai", ("faces-more-sources", "ai", "stable-diffusion-2.1")),
    "pggan-celebahq": ("ai", ("faces-more-sources", "ai", "pggan-celebahq")),
    "stylegan3": ("ai", ("faces-more-sources", "ai", "stylegan3")),
    "flux-pollinations": ("ai", ("faces-more-sources", "ai", "flux-pollinations")),
}
NEW_IMAGES: dict[str, Source] = {
    "utkface": ("real", ("unseen-faces", "real", "utkface")),
    "stylegan2-omi": ("ai", ("unseen-faces", "ai", "stylegan2-omi")),
    "stable-diffusion-2.1": ("ai", ("unseen-faces", "ai", "stable-diffusion-2.1")),
}
UNKNOWN: dict[str, Source] = {
    "ffhq": ("real", ("real-or-ai-face", "real")),
    "stylegan1": ("ai", ("real-or-ai-face", "ai")),
}
EACH = 100
"""Most images of each source, in all splits together; three sources have fewer."""
TESTED = 50
"""Images of each source of ``unseen-faces``, and of each unknown one."""
QUALITIES = (None, 60, 40)

Listed = list[tuple[str, str, str]]
"""Path, label and source of each image."""


def listed(sources: Mapping[str, Source], most: int, seed: int) -> Listed:
    """At most ``most`` images of each source, drawn by ``seed``."""
    found = []
    for source, (label, folder) in sources.items():
        paths = sorted(data(*folder).iterdir())
        chosen = sorted(np.random.default_rng(seed).permutation(len(paths))[:most])
        found += [(str(paths[i]), label, source) for i in chosen]
    return found


def saved_again(path: str, quality: int | None) -> bytes:
    if quality is None:
        return Path(path).read_bytes()
    stream = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def shares(predictor: fv.Predictor, images: Listed, quality: int | None) -> dict[str, Any]:
    """By source, and over all: shares answered, silent, right among the answered, and called AI of all."""
    answers = predictor.predict([saved_again(path, quality) for path, _, _ in images])
    rows = [(source, label, one.label, *one.reasons) for (_, label, source), one in zip(images, answers, strict=True)]
    return {
        "all": share_of(rows),
        **{name: share_of([row for row in rows if row[0] == name]) for name in dict.fromkeys(row[0] for row in rows)},
    }


def share_of(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    rows = list(rows)
    answered = [row for row in rows if row[2] is not None]
    real = [row for row in rows if row[1] == "real"]
    return {
        "n": len(rows),
        "answered": round(len(answered) / len(rows), 3),
        "right_among_answered": round(sum(row[1] == row[2] for row in answered) / len(answered), 3)
        if answered
        else None,
        "real_called_ai": round(sum(row[2] == "ai" for row in real) / len(real), 3) if real else None,
        "reasons": {
            name: sum(name in row[3:] for row in rows) for name in sorted({r for row in rows for r in row[3:]})
        },
    }


def learn(weights: Path, seed: int, each: int, folder: Path) -> dict[str, Any]:
    """Train the recipe into ``folder/model``; what it took. The peak of memory is that of the training process."""
    start = time.perf_counter()
    with (folder / "learned.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *listed(LEARNED, each, seed)])
    gate = ("--gate-model", str(data(*DETECTOR)))
    flags = ("--recipe", "real-or-ai/families", "--weights", str(weights), "--groups", "image", *gate)
    more = ("--set", "positive=ai", "--seed", str(seed), "--overwrite")
    figures = train(folder / "model", str(folder / "learned.csv"), *flags, *more)
    figures["arguments"] = figures["arguments"].replace(f"{folder}/", "").replace(str(weights), weights.name)
    return {
        "training": figures,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "largest_memory_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, 2),
    }


def answered(model: Path, seed: int, each: int) -> dict[str, Any]:
    """What a model of :func:`learn` answers."""
    start = time.perf_counter()
    rows = pd.read_parquet(model / "manifest.parquet")
    of_test = set(rows.loc[rows["split"] == "test", "path"].map(str))
    test = [one for one in listed(LEARNED, each, seed) if one[0] in of_test]
    assert len(test) == len(of_test), "the manifest has paths in another form"
    predictor, card = fv.open(model), fv.load(model).card
    assert card.sources is not None
    sets = {
        "test": test,
        "unseen-faces": listed(NEW_IMAGES, TESTED, seed),
        "unknown": listed(UNKNOWN, TESTED, seed),
    }
    return {
        "model_onnx_bytes": (model / "model.onnx").stat().st_size,
        "sources": card.sources.to_dict(),
        **{
            name: {"clean" if q is None else f"q{q}": shares(predictor, images, q) for q in QUALITIES}
            for name, images in sets.items()
        },
        "minutes_of_answers": round((time.perf_counter() - start) / 60, 1),
    }


def one_seed(weights: Path, seed: int, each: int, folder: Path) -> None:
    """Train, answer, and write ``folder/found.json``. A training that was done before is not repeated."""
    took = folder / "took.json"
    if not took.exists():
        _write(took, learn(weights, seed, each, folder))
    _write(folder / "found.json", {**json.loads(took.read_text()), **answered(folder / "model", seed, each)})


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By set of images and quality, over all images and by source: mean, lowest and highest share over the seeds."""
    found: dict[str, Any] = {}
    for name in ("test", "unseen-faces", "unknown"):
        for quality in runs[0][name]:
            for source in runs[0][name][quality]:
                rows = [run[name][quality][source] for run in runs]
                found.setdefault(name, {}).setdefault(quality, {})[source] = {
                    "n": [row["n"] for row in rows],
                    **{
                        share: _over_seeds([row[share] for row in rows])
                        for share in ("answered", "right_among_answered", "real_called_ai")
                    },
                }
    return found


def _over_seeds(values: Sequence[float | None]) -> list[float] | None:
    """Mean, lowest, highest; of the seeds that have a value."""
    there = [value for value in values if value is not None]
    return [round(mean(there), 3), min(there), max(there)] if there else None


def _write(path: Path, figures: Mapping[str, Any]) -> None:
    with files.replacing_file(path) as partial:
        partial.write_text(json.dumps(figures, indent=2))


def main(weights: Path, seeds: Sequence[int], each: int, scratch: Path) -> None:
    found: dict[int, dict[str, Any]] = {}
    for seed in seeds:
        folder = scratch / f"seed-{seed}-each-{each}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "found.json").exists():
            this = [sys.executable, "-m", "benchmarks.families", str(weights.resolve())]
            more = ["--each", str(each), "--scratch", str(scratch.resolve()), "--only", str(seed)]
            subprocess.run([*this, *more], check=True, cwd=ROOT)
        found[seed] = json.loads((folder / "found.json").read_text())
        done = [str(one) for one in found]
        options = ["--seeds", *done, "--each", str(each), "--scratch", "FOLDER"]
        figures = {
            "command": shlex.join(["python", "-m", "benchmarks.families", weights.name, *options]),
            "over_seeds": summary(list(found.values())),
            "seeds": {str(one): run for one, run in found.items()},
        }
        keep("families", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--each", type=int, default=EACH)
    parser.add_argument("--scratch", type=Path, required=True, help="keeps models and figures; 1 GB a seed")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only is None:
        main(given.weights, given.seeds, given.each, given.scratch)
    else:
        own = given.scratch / f"seed-{given.only}-each-{given.each}"
        one_seed(given.weights, given.only, given.each, own)
