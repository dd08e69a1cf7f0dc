"""Compares choices in a recipe, one changed at a time, for ``layer_study`` and ``scratch_study``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import data, keep, mean, summary, train


def study(
    name: str, recipe: str, choices: Mapping[str, Sequence[str]], folder: str, about: str | None, *flags: str
) -> None:
    """Train ``recipe`` with each choice's flags on several seeds and keep the table as ``NAME.json``.

    Parameters
    ----------
    folder : in the measuring set; ``flags`` apply to it, and are left out if ``--data`` names another folder.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--epochs", help="instead of each choice's own")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    source = given.data or data(folder)
    common = flags if given.data is None else ()
    common = (*common, *(("--size", given.size) if given.size else ()))
    table: dict[str, Any] = {}
    for choice in given.names or choices:
        changed = [*choices[choice], *(("--epochs", given.epochs) if given.epochs else ())]
        runs = []
        for seed in given.seeds.split(","):
            with tempfile.TemporaryDirectory() as scratch:
                settings = ("--recipe", recipe, "--seed", seed, *changed)
                runs.append(train(Path(scratch) / "model", str(source), *settings, *common))
        table[choice] = {
            "validation_accuracy_mean": mean([run["validation"]["accuracy"] for run in runs]),
            "gap_mean": mean([run["train"]["accuracy"] - run["test"]["accuracy"] for run in runs]),
            **summary(runs),
            "parameters": runs[0]["parameters"],
            "seconds_per_epoch": min(run["seconds_per_epoch"] for run in runs),
            "runs": runs,
        }
        print(choice, {k: v for k, v in table[choice].items() if k != "runs"})
        # Saved after each choice, so that results are kept if the run is interrupted.
        keep(name, {"recipe": recipe, "choices": table})
