"""One model on every runtime: the same answers, size, and time per image.

    python -m benchmarks.runtimes [NAME ...] [--images 200] [--models DIR]

Trains three models, or takes them from ``--models`` where they are there; with names only these, beside the others of
an earlier run. Each is measured as ``certify-runtimes`` does
on its own test images and all drawn files, and as a site in headless Chromium (:mod:`benchmarks.browser`). Times are of
one image after another, in rounds in which all runtimes take turns, with one thread each: read the ratios. It needs
Chromium with its driver, npm once, and for LiteRT ``FACEVALUE_LITERT_PYTHON``.
"""

from __future__ import annotations

import argparse
import copy
import os
import shlex
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import browser
from benchmarks.common import data, keep, kept, mobilenet, shown, train
from facevalue.api.common.export_images import labelled_images, ranges_images
from facevalue.evidence.records import ParityFigures
from facevalue.export import EXPORTERS
from facevalue.export.base import Pixels
from facevalue.export.every_runtime import Measured, measure_all
from facevalue.export.parity import Reference
from facevalue.images.parity import parity_files
from facevalue.models.classifier import Classifier

TIMED, ROUNDS = 30, 3

Run = Callable[[Pixels], object]


def recipes() -> dict[str, list[str]]:
    """The arguments of ``train`` for each model."""
    grey, own = data("horse-or-human-grey100"), ["--groups", r"stem:^([a-z]+\d+)", "--seed", "0"]
    probe = ["--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()]
    return {
        "horse-or-human small-cnn": [str(grey), "--recipe", "horse-or-human/cnn", *own],
        "horse-or-human mobilenetv2": [str(grey), *probe, *own],
        "human-or-object mobilenetv2": [str(data("human-or-object")), *probe, "--groups", "parent", "--seed", "0"],
    }


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these models")
    parser.add_argument("--images", type=int, default=200, help="most labelled images")
    parser.add_argument("--models", type=Path, help="a folder with the models, or for them")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    figures: dict[str, Any] = kept("runtimes")["models"] if options.names else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in recipes().items():
            if options.names and name not in options.names:
                continue
            place = (options.models or Path(folder)) / name.replace(" ", "-")
            if not place.is_dir():
                train(place, *arguments)
            files = Path(folder) / f"{place.name}-files"
            files.mkdir()
            figures[name] = {"training": shown(shlex.join(arguments)), **measured(place, files, options.images)}
            keep("runtimes", {"timed": TIMED, "rounds": ROUNDS, "models": figures})


def measured(model: Path, folder: Path, most: int) -> dict[str, Any]:
    """The certificate, the browser's answers, and times of all."""
    import facevalue as fv

    classifier = fv.load(model)
    images = labelled_images(classifier, None, most)
    reference = Reference(classifier, images, parity_files())
    found = measure_all(list(EXPORTERS.values()), reference, folder, ranges_images(classifier, None))
    first = found.rows[0]
    result: dict[str, Any] = {
        "torch": {"n": first.n, "drawn": first.drawn, "accuracy": first.accuracy, "version": _torch_version()},
        "runtimes": {f"{row.target} {row.precision}": plain(row) for row in found.rows},
        "left_out": found.left_out,
    }
    site = found.files["web", "fp32"]
    files = [file.data for file in browser.test_images(model, TIMED)]
    result["browser"] = browser.compared(model, site, most)
    result["milliseconds"] = browser.times(
        site, runs_of(classifier, found), classifier.card.preprocessing, files, ROUNDS
    )
    return result


def plain(row: ParityFigures) -> dict[str, Any]:
    """A row of the certificate without what is the same in all."""
    figures = row.to_dict()
    return {
        key: value for key, value in figures.items() if key not in ("target", "precision", "n", "drawn", "accuracy")
    }


def runs_of(classifier: Classifier, found: Measured) -> dict[str, Run]:
    """What answers network inputs, by the name of the runtime."""
    import torch

    fast = copy.deepcopy(classifier).cpu().eval().requires_grad_(False)
    fast.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    runs: dict[str, Run] = {"torch fp32": lambda pixels: fast.answers(pixels, heat=True)}
    for (target, precision), path in found.files.items():
        if target != "web":  # this one runs in the browser
            runs[f"{target} {precision}"] = EXPORTERS[target].open(classifier.card, path, precision).run
    return runs


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
