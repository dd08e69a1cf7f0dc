"""Real or AI: the recipe ``real-or-ai/families``, trained once on ten sources, and what it answers by source.

Known sources: the test split, and ``unseen-faces``, which has other images of three of the ten sources. Unknown
sources: FFHQ and StyleGAN. Nothing was chosen on any of these images. The answers are the exported graph's.

Run from the project's root, with a file of CLIP's weights: ``python -m benchmarks.families CLIP.safetensors``.
"""

from __future__ import annotations

import csv
import io
import resource
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

import facevalue as fv
from benchmarks.common import data, keep, train
from benchmarks.face_gate import DETECTOR
from benchmarks.real_or_ai import Source

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
EACH = 40
"""Images of each source, in all splits together."""
TESTED = 20
"""Images of each source of ``unseen-faces``, and of each unknown one."""
QUALITIES = (None, 60, 40)

Listed = list[tuple[str, str, str]]
"""Path, label and source of each image."""


def listed(sources: dict[str, Source], most: int) -> Listed:
    return [
        (str(path), label, source)
        for source, (label, folder) in sources.items()
        for path in sorted(data(*folder).iterdir())[:most]
    ]


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


def learn(weights: str, model: Path, scratch: Path) -> dict[str, Any]:
    """Train the recipe; what it took."""
    start = time.perf_counter()
    with (scratch / "learned.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *listed(LEARNED, EACH)])
    gate = ("--gate-model", str(data(*DETECTOR)))
    flags = ("--recipe", "real-or-ai/families", "--weights", weights, "--groups", "image", *gate)
    figures = train(model, str(scratch / "learned.csv"), *flags, "--set", "positive=ai")
    return {
        "training": figures,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "largest_memory_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, 2),
    }


def main(weights: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        took = learn(weights, model, Path(folder))
        keep("families", {**took, **answered(model)})


def answered(model: Path) -> dict[str, Any]:
    """What a model of :func:`learn` answers."""
    rows = pd.read_parquet(model / "manifest.parquet")
    of_test = set(rows.loc[rows["split"] == "test", "path"].map(str))
    test = [one for one in listed(LEARNED, EACH) if one[0] in of_test]
    assert len(test) == len(of_test), "the manifest has paths in another form"
    predictor, card = fv.open(model), fv.load(model).card
    assert card.sources is not None
    sets = {"test": test, "unseen-faces": listed(NEW_IMAGES, TESTED), "unknown": listed(UNKNOWN, TESTED)}
    return {
        "model_onnx_bytes": (model / "model.onnx").stat().st_size,
        "sources": card.sources.to_dict(),
        **{
            name: {"clean" if q is None else f"q{q}": shares(predictor, images, q) for q in QUALITIES}
            for name, images in sets.items()
        },
    }


if __name__ == "__main__":
    main(sys.argv[1])
