"""Real or AI: does a recipe about faces keep its accuracy where the network sees crops of faces?

The network of ``real-or-ai/texture`` at one zoom and in one view, which takes a fifth of the time, trained on 250
images of each of four sources with whole images and with crops of two margins; three seeds. Evaluated on its own test
split and on seven sources that were not trained on, as their images are. And what each answers to objects.

Run from the project's root: ``python -m benchmarks.face_gate_recipes [--seeds 0,1,2]``; about four minutes a seed.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import data, facevalue, keep, mean, mobilenet, train
from benchmarks.face_gate import DETECTOR, OBJECTS, paths
from benchmarks.real_or_ai import Source

LEARNED: dict[str, Source] = {
    "ffhq": ("real", ("real-or-ai-face", "real")),
    "lfw": ("real", ("faces-by-source", "real", "lfw")),
    "stylegan": ("ai", ("real-or-ai-face", "ai")),
    "stable-diffusion-2.1": ("ai", ("faces-by-source", "ai", "stable-diffusion-2.1")),
}
OTHERS: dict[str, Source] = {
    "utkface": ("real", ("faces-by-source", "real", "utkface")),
    "celebahq": ("real", ("faces-more-sources", "real", "celebahq")),
    "mebeauty": ("real", ("faces-more-sources", "real", "mebeauty")),
    "stylegan2-omi": ("ai", ("faces-by-source", "ai", "stylegan2-omi")),
    "progan": ("ai", ("faces-more-sources", "ai", "pggan-celebahq")),
    "stylegan3": ("ai", ("faces-more-sources", "ai", "stylegan3")),
    "flux": ("ai", ("faces-more-sources", "ai", "flux-pollinations")),
}
NETWORK = 'network.options={zooms=[1],views=["upright"],wide=[1],wide_at=[1]}'
CROPPED = ("--gate", "face", "--gate-model", str(data(*DETECTOR)), "--set")
GATES = {
    "whole images": ("--gate", "none"),
    "faces, margin 0.3": (*CROPPED, "gate.margin=0.3"),
    "faces, margin 0.1": (*CROPPED, "gate.margin=0.1"),
}


def listed(path: Path, sources: Mapping[str, Source], most: int) -> str:
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "source"])
        for source, (label, folder) in sources.items():
            rows.writerows([file, label, source] for file in sorted(data(*folder).iterdir())[:most])
    return str(path)


def measured(gate: str, seed: int, scratch: Path) -> dict[str, Any]:
    model = scratch / "model"
    flags = ("--recipe", "real-or-ai/texture", "--weights", mobilenet(), "--groups", "image", "--set", NETWORK)
    run = train(model, listed(scratch / "learned.csv", LEARNED, 250), *flags, *GATES[gate], "--seed", str(seed))
    others, _ = facevalue("evaluate", str(model), listed(scratch / "others.csv", OTHERS, 150), "--no-save")
    rows, _ = facevalue("predict", str(model), *map(str, paths(*OBJECTS)[::5]))
    assert isinstance(others, dict)
    return {
        "test": run["test"],
        "other_sources": {key: others[key] for key in ("n", "balanced_accuracy", "auroc", "coverage", "reasons")},
        "objects": len(rows),
        "objects_answered": sum(row["label"] is not None for row in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    runs: dict[str, list[dict[str, Any]]] = {gate: [] for gate in GATES}
    for seed in seeds:
        for gate in GATES:
            with tempfile.TemporaryDirectory() as scratch:
                runs[gate].append({"seed": seed, **measured(gate, seed, Path(scratch))})
            done = {gate: each for gate, each in runs.items() if each}
            keep("face_gate_recipes", {"means": {gate: means(each) for gate, each in done.items()}, "runs": done})


def means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seeds": len(runs),
        "test_accuracy": mean([run["test"]["accuracy"] for run in runs]),
        "other_sources_balanced_accuracy": mean([run["other_sources"]["balanced_accuracy"] for run in runs]),
        "other_sources_auroc": mean([run["other_sources"]["auroc"] for run in runs]),
        "objects_answered": mean([run["objects_answered"] / run["objects"] for run in runs]),
    }


if __name__ == "__main__":
    main()
