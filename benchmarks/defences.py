"""Defences compared: standard, adversarially trained and distilled networks, attacked blind and adaptively.

Small networks on real images. Run from the project's root: ``python -m benchmarks.defences [human-or-object|horse]
[--epochs N] [--limit N] [--few N]``; ``--quick`` uses few epochs and images, for a trial run. Single attacks use
``limit`` images; the suite, input defences and the certificate use ``few``. One seed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import data, facevalue, keep, train

EPS = "1/255,2/255,4/255,8/255"
SETS: dict[str, tuple[str, ...]] = {
    "human-or-object": (str(data("human-or-object")), "--groups", "parent", "--size", "48"),
    "horse": (str(data("horse-or-human-grey100")), "--groups", r"stem:^([a-z]+\d+)", "--size", "48"),
}
DEFENSES = ("jpeg", "blur", "median", "bits", "noise", "tv")


def rows(report: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """An attack's table, without the values that are the same in all rows."""
    assert isinstance(report, dict)
    shown = ("attack", "eps", "defense", "adaptive", "clean_accuracy", "robust_accuracy", "robust_ci", "seconds")
    return {
        "n": report["n"],
        "results": [{key: row[key] for key in shown} for row in report["results"]],
        "warnings": report["warnings"],
    }


def measure(name: str, quick: bool, epochs: str, limit: str, few: str) -> None:
    images, *flags = SETS[name]
    common = (images, *flags, "--recipe", "scratch", "--epochs", epochs, "--set", "fit.patience=0")
    if quick:
        common = (*common, "--size", "24", "--set", "network.options={widths=[8,16]}")
    robust = ("--set", "adversarial.ramp_epochs=5", "--eps", "4/255")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain"
        recipes: dict[str, tuple[str, ...]] = {
            "plain": (),
            "fast": (*robust, "--adversarial", "fast"),
            "pgd": (*robust, "--adversarial", "pgd"),
            "trades": (*robust, "--adversarial", "trades"),
            "free": (*robust, "--adversarial", "free"),
            "defensive-distillation": ("--teacher", str(plain), "--distill-temperature", "20"),
            "noise": ("--set", "augment.noise=0.1"),
        }
        made: dict[str, Any] = {}
        for recipe, more in recipes.items():
            model = Path(folder) / recipe
            made[recipe] = {"training": train(model, *common, *more)}
            attack = ("attack", str(model), images, "--limit", limit, "--eps", EPS)
            made[recipe]["attacks"] = rows(facevalue(*attack, "--attacks", "fgsm,pgd")[0])
            suite = ("attack", str(model), images, "--limit", few, "--eps", "4/255", "--attacks", "suite")
            made[recipe]["suite"] = rows(facevalue(*suite)[0])
        for defense in DEFENSES:
            attack = ("attack", str(plain), images, "--limit", few, "--attacks", "pgd", "--eps", "2/255,4/255")
            made["plain"][defense] = rows(facevalue(*attack, "--defense", defense)[0])
        certify = ("--certify", "--sigma", "0.1", "--samples", "100" if quick else "500", "--limit", few)
        for recipe in ("plain", "noise"):
            figures, _ = facevalue("evaluate", str(Path(folder) / recipe), images, *certify)
            assert isinstance(figures, dict)
            made[recipe]["certificate"] = figures["certificate"]
        for recipe in ("plain", "pgd"):
            figures, _ = facevalue("evaluate", str(Path(folder) / recipe), images, "--corruptions", "--limit", limit)
            assert isinstance(figures, dict)
            made[recipe]["corruptions"] = figures["corruptions"]
        compared, _ = facevalue("compare", *(str(Path(folder) / recipe) for recipe in recipes))
        asked = {"epochs": int(epochs), "limit": int(limit), "few": int(few)}
        keep(f"defences.{name}" + (".quick" if quick else ""), {**asked, "compare": compared, "models": made})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SETS, []])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--epochs")
    parser.add_argument("--limit")
    parser.add_argument("--few")
    given = parser.parse_args()
    epochs, limit, few = ("2", "16", "8") if given.quick else ("15", "300", "100")
    for name in given.names or SETS:
        measure(name, given.quick, given.epochs or epochs, given.limit or limit, given.few or few)


if __name__ == "__main__":
    main()
