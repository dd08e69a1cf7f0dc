"""Reports on the trials of a study: a list, the best recipe, a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.reports import plots
from facevalue.support import files
from facevalue.training.recipe import Recipe, read
from facevalue.training.search_space import Between, Search, to_toml

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

TRIALS, BEST, PLOT = "trials.json", "best.toml", "trials.png"


def changed(base: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with other values by dotted key."""
    table = {k: v for k, v in base.to_dict().items() if v is not None}
    # read() checks the settings; the recipe named after the method supplies the rest.
    return read(base.method, {**table, **values})


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that have ended: complete, pruned or failed. Trials interrupted by a kill are not among them."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [t for t in ended if t.state != TrialState.FAIL or "error" in t.user_attrs]


def _rows(study: Study) -> list[dict[str, Any]]:
    """One row per finished trial. Interrupted trials are not numbered, so the numbers match an uninterrupted search."""
    return [_row(number, trial) for number, trial in enumerate(finished(study))]


def _row(number: int, trial: FrozenTrial) -> dict[str, Any]:
    names = ("validation_accuracy", "epochs", "seconds", "error")
    more = {name: trial.user_attrs[name] for name in names if name in trial.user_attrs}
    curve = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
    return {
        "number": number,
        "state": {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed"),
        "validation_loss": trial.value if trial.state.name == "COMPLETE" else None,
        "settings": trial.user_attrs.get("settings", {}),
        "best_so_far_by_epoch": curve,
        **more,
    }


def _best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    complete = [row for row in rows if row["state"] == "complete"]
    return min(complete, key=lambda row: float(row["validation_loss"]), default=None)


def best_summary(study: Study) -> str:
    """A short text about the best trial so far; empty if there is none."""
    best = _best(_rows(study))
    return "" if best is None else f"lowest validation loss {best['validation_loss']:.4f} in trial {best['number']}"


def write(study: Study, folder: Path, base: Recipe, searched: Mapping[str, Search]) -> dict[str, Any]:
    """Write ``trials.json`` and, once a trial is complete, ``best.toml`` and ``trials.png``. Returns the figures."""
    rows = _rows(study)
    best = _best(rows)
    states = [row["state"] for row in rows]
    figures = {
        "study": str(folder),
        "recipe": None if best is None else str(folder / BEST),
        "best": best,
        "n": len(rows),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "searched": list(searched),
        "measured_on": "validation",
        "trials": rows,
    }
    files.write_json(folder / TRIALS, figures)
    if best is not None:
        loss, number = best["validation_loss"], best["number"]
        about = f"Lowest validation loss of {len(rows)} trials: {loss:.4f} nats in trial {number}."
        table = changed(base, best["settings"]).to_dict() | {"about": about, "name": None}
        files.write_text(folder / BEST, to_toml(table))
        logarithmic = [key for key, where in searched.items() if isinstance(where, Between) and where.log]
        choices = {key: where.values for key, where in searched.items() if not isinstance(where, Between)}
        plots.save_png(plots.trials(rows, list(searched), logarithmic, choices), folder / PLOT)
    return figures
