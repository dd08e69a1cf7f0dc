"""Robust accuracy of standard and of adversarially trained networks, by the suite, at 1, 2, 4 and 8/255.

Both models of a pair have the same network, splits and input size, and every eps uses the same images. ``published``
repeats the published setting: MobileNetV2 at 224 pixels, FGSM at eps 0.01, clean accuracy and the adversarial confusion
matrix.

Run from the project's root: ``python -m benchmarks.robustness [NAME …] [--models DIR]``. With ``--models`` the model
folders stay in DIR, and existing ones are used without training. One seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import data, facevalue, keep, mobilenet, shown, train

PUBLISHED = "published"
EPS = "1/255,2/255,4/255,8/255"
HUMAN_OR_OBJECT = (str(data("human-or-object")), "--groups", "parent")
HORSE_OR_HUMAN = (str(data("horse-or-human-grey100")), "--groups", r"stem:^([a-z]+\d+)")
MOBILENET = ("--network", "mobilenetv2_100", "--weights", mobilenet())


@dataclass(frozen=True)
class Pair:
    """The settings of a pair: those of both networks, those of each, and the number of attacked images."""

    common: tuple[str, ...]
    standard: tuple[str, ...]
    adversarial: tuple[str, ...]
    limit: str


def small(images: tuple[str, ...], epochs: str, ramp: str, limit: str) -> Pair:
    """``small-resnet`` from scratch at 48 pixels."""
    hardened = ("--adversarial", "fast", "--set", "adversarial.share=0.75", "--set", f"adversarial.ramp_epochs={ramp}")
    common = (*images, "--size", "48", "--epochs", epochs)
    return Pair(common, ("--recipe", "scratch"), ("--recipe", "robust", *hardened), limit)


def pretrained(images: tuple[str, ...], limit: str) -> Pair:
    """MobileNetV2 fine-tuned at 96 pixels."""
    standard = ("--recipe", "finetune", "--epochs", "3")
    return Pair((*images, *MOBILENET, "--size", "96"), standard, ("--recipe", "robust-finetune"), limit)


PAIRS = {
    "human-or-object": small(HUMAN_OR_OBJECT, "9", "2", "200"),
    "human-or-object-mobilenetv2": pretrained(HUMAN_OR_OBJECT, "100"),
    "horse": small(HORSE_OR_HUMAN, "20", "5", "100"),
    "horse-mobilenetv2": pretrained(HORSE_OR_HUMAN, "100"),
}


def made(models: Path, name: str, *arguments: str) -> tuple[Path, dict[str, Any]]:
    """A model folder and its training figures; trained now unless it exists."""
    folder, kept = models / name, models / f"{name}.figures.json"
    if folder.exists():
        return folder, json.loads(kept.read_text())
    figures = train(folder, *arguments)
    kept.write_text(json.dumps(figures))
    return folder, figures


def attacked(model: Path, images: str, limit: str, attacks: str, eps: str) -> dict[str, Any]:
    """The attack table with confusion matrices, noise figures and warnings."""
    report, seconds = facevalue("attack", str(model), images, "--limit", limit, "--attacks", attacks, "--eps", eps)
    assert isinstance(report, dict)
    return {
        "command": shown(report["provenance"]["command"]),
        **{key: report[key] for key in ("n", "classes", "clean_confusion", "results", "noise", "warnings")},
        "process_seconds": round(seconds, 1),
    }


def by_eps(report: dict[str, Any]) -> dict[str, Any]:
    """Robust accuracy, its interval and n by eps."""
    return {
        f"{255 * row['eps']:.0f}/255": {
            key: row[key] for key in ("n", "clean_accuracy", "robust_accuracy", "robust_ci")
        }
        for row in report["results"]
    }


def compare(name: str, models: Path) -> None:
    """Both networks of a pair under the suite."""
    pair = PAIRS[name]
    figures: dict[str, Any] = {}
    for kind, flags in (("standard", pair.standard), ("adversarial", pair.adversarial)):
        folder, training = made(models, f"{name}.{kind}", *pair.common, *flags)
        figures[kind] = {"training": training, "suite": attacked(folder, pair.common[0], pair.limit, "suite", EPS)}
    clean = {kind: figures[kind]["training"]["test"]["accuracy"] for kind in figures}
    summary = {
        "test_accuracy": clean,
        "points_of_clean_accuracy_lost": 100 * (clean["standard"] - clean["adversarial"]),
        "suite_accuracy": {kind: by_eps(figures[kind]["suite"]) for kind in figures},
    }
    keep(f"robustness.{name}", {"summary": summary, "models": figures})


def publish(models: Path) -> None:
    """The published setting, and the suite on the same model."""
    folder, training = made(models, PUBLISHED, *HUMAN_OR_OBJECT, "--recipe", "probe", *MOBILENET)
    fgsm = attacked(folder, HUMAN_OR_OBJECT[0], "400", "fgsm", "0.01")
    curve = attacked(folder, HUMAN_OR_OBJECT[0], "100", "fgsm,pgd", EPS)
    keep(f"robustness.{PUBLISHED}", {"training": training, "fgsm": fgsm, "curve": curve})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PAIRS, PUBLISHED, []])
    parser.add_argument("--models", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models or Path(temporary)
        models.mkdir(parents=True, exist_ok=True)
        for name in arguments.names or [*PAIRS, PUBLISHED]:
            if name == PUBLISHED:
                publish(models)
            else:
                compare(name, models)


if __name__ == "__main__":
    main()
