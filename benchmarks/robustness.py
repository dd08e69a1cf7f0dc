"""Robust accuracy of a standard and of an adversarially trained network, by the suite, at 1, 2, 4 and 8/255.

Both networks are the same, from scratch, on the same splits and square, and every eps meets the same pictures. For
``human-or-object`` also the published form: MobileNetV2, FGSM at eps 0.01, clean accuracy and the adversarial confusion
matrix.

Run from the project's root: ``python -m benchmarks.robustness [human-or-object|horse] [--models DIR]``. With
``--models`` the model folders stay in DIR, and one that is there already is taken as it is. One seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import data, facevalue, keep, mobilenet, shown, train

EPS = "1/255,2/255,4/255,8/255"
PARTS: dict[str, tuple[str, ...]] = {
    "human-or-object": (str(data("human-or-object")), "--groups", "parent"),
    "horse": (str(data("horse-or-human-grey100")), "--groups", r"stem:^([a-z]+\d+)"),
}
EPOCHS = {"human-or-object": "9", "horse": "20"}
RAMP = {"human-or-object": "2", "horse": "5"}
LIMIT = {"human-or-object": "200", "horse": "100"}
PUBLISHED_LIMIT = "400"


def made(models: Path, name: str, *arguments: str) -> tuple[Path, dict[str, Any]]:
    """A model folder and what its training said; trained now, or taken as it is."""
    folder, kept = models / name, models / f"{name}.figures.json"
    if folder.exists():
        return folder, json.loads(kept.read_text())
    figures = train(folder, *arguments)
    kept.write_text(json.dumps(figures))
    return folder, figures


def attacked(model: Path, pictures: str, limit: str, attacks: str, eps: str) -> dict[str, Any]:
    """The attacks' table, with confusion matrices, and noise and warnings beside it."""
    report, seconds = facevalue("attack", str(model), pictures, "--limit", limit, "--attacks", attacks, "--eps", eps)
    assert isinstance(report, dict)
    return {
        "command": shown(report["command"]),
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


def measure(name: str, models: Path) -> None:
    pictures, *split = PARTS[name]
    common = (pictures, *split, "--size", "48", "--epochs", EPOCHS[name])
    hardened = ("--adversarial", "fast", "--set", "adversarial.share=0.75")
    recipes: dict[str, tuple[str, ...]] = {
        "standard": ("--recipe", "scratch"),
        "adversarial": ("--recipe", "robust", *hardened, "--set", f"adversarial.ramp_epochs={RAMP[name]}"),
    }
    figures: dict[str, Any] = {}
    for kind, flags in recipes.items():
        folder, training = made(models, f"{name}.{kind}", *common, *flags)
        figures[kind] = {"training": training, "suite": attacked(folder, pictures, LIMIT[name], "suite", EPS)}
    clean = {kind: figures[kind]["training"]["test"]["accuracy"] for kind in recipes}
    robust = {kind: by_eps(figures[kind]["suite"]) for kind in recipes}
    summary = {
        "test_accuracy": clean,
        "suite_accuracy": robust,
        "points_of_clean_accuracy_lost": 100 * (clean["standard"] - clean["adversarial"]),
    }
    if name == "human-or-object":
        flags = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
        folder, training = made(models, f"{name}.mobilenetv2", pictures, *split, *flags)
        figures["mobilenetv2"] = {
            "training": training,
            "fgsm": attacked(folder, pictures, PUBLISHED_LIMIT, "fgsm", "0.01"),
            "curve": attacked(folder, pictures, "100", "fgsm,pgd", EPS),
        }
    keep(f"robustness.{name}", {"summary": summary, "models": figures})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--models", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models or Path(temporary)
        models.mkdir(parents=True, exist_ok=True)
        for name in arguments.names or PARTS:
            measure(name, models)


if __name__ == "__main__":
    main()
