"""What defences are worth: plain, adversarially trained and distilled networks, each attacked blind and adaptively.

Small networks on real pictures. Run from the project's root: ``python -m benchmarks.defences [human-or-object|horse]``;
``--quick`` takes few epochs and pictures, to see that it runs.
"""

from __future__ import annotations

import sys
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
    """An attack's table without what is the same in all its rows."""
    assert isinstance(report, dict)
    shown = ("attack", "eps", "defense", "adaptive", "clean_accuracy", "robust_accuracy", "robust_ci", "seconds")
    return {
        "n": report["n"],
        "results": [{key: row[key] for key in shown} for row in report["results"]],
        "warnings": report["warnings"],
    }


def measure(name: str, quick: bool) -> None:
    epochs, limit, few = ("2", "16", "8") if quick else ("15", "300", "100")
    pictures, *flags = SETS[name]
    common = (pictures, *flags, "--recipe", "scratch", "--epochs", epochs, "--set", "fit.patience=0")
    tried = "fgsm,pgd" if quick else "fgsm,pgd,apgd"
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
            attack = ("attack", str(model), pictures, "--limit", limit, "--eps", EPS)
            made[recipe]["attacks"] = rows(facevalue(*attack, "--attacks", tried)[0])
        for defense in DEFENSES:
            attack = ("attack", str(plain), pictures, "--limit", few, "--attacks", "pgd", "--eps", "2/255,4/255")
            made["plain"][defense] = rows(facevalue(*attack, "--defense", defense)[0])
        certify = ("--certify", "--sigma", "0.1", "--samples", "100" if quick else "1000", "--limit", few)
        for recipe in ("plain", "noise"):
            figures, _ = facevalue("evaluate", str(Path(folder) / recipe), pictures, *certify)
            assert isinstance(figures, dict)
            made[recipe]["certificate"] = figures["certificate"]
        for recipe in ("plain", "pgd"):
            figures, _ = facevalue("evaluate", str(Path(folder) / recipe), pictures, "--corruptions", "--limit", limit)
            assert isinstance(figures, dict)
            made[recipe]["corruptions"] = figures["corruptions"]
        compared, _ = facevalue("compare", *(str(Path(folder) / recipe) for recipe in recipes))
        keep(f"defences.{name}" + (".quick" if quick else ""), {"compare": compared, "models": made})


def main(arguments: list[str]) -> None:
    names = [argument for argument in arguments if argument != "--quick"]
    for name in names or list(SETS):
        measure(name, "--quick" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
