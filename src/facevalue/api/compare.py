"""``compare``: several models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.api.common.inputs import Model
from facevalue.errors import UsageError
from facevalue.evaluation.comparison import ComparedModel, compared, incomparable
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, distinct
from facevalue.evidence.record import Record
from facevalue.models.classifier import Classifier
from facevalue.models.origin import Origin
from facevalue.reports import plots
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd


class Comparison(Record, frozen=True):
    """Models side by side, in the order given.

    Attributes
    ----------
    models : one row each.
    warnings : what makes figures of these models incomparable.
    """

    models: tuple[ComparedModel, ...]
    warnings: tuple[Finding, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per model."""
        return frame_of([model.to_dict() for model in self.models])

    def to_dict(self) -> dict[str, Any]:
        """``models``: one mapping per model; ``warnings``."""
        return {
            "models": [model.to_dict() for model in self.models],
            "warnings": [warning.to_dict() for warning in self.warnings],
        }


def compare(models: Sequence[Model], *, plot: Path | str | None = None) -> Comparison:
    """Compare models, one row each: accuracy by split, gap, size, speed, calibration error, robustness.

    Figures that were never measured are ``None``. Models with different classes, test images or attacks get a warning.

    Parameters
    ----------
    models : classifiers or model folders.
    plot : path for a PNG of the training curves; epochs and a probe's strengths have axes of their own.

    Raises
    ------
    UsageError
        ``models`` is empty.
    """
    if not models:
        raise UsageError("compare needs at least one model")
    rows: list[ComparedModel] = []
    curves: dict[str, list[Mapping[str, Any]]] = {}
    first: tuple[str, ModelCard] | None = None
    for i, model in enumerate(models):
        if isinstance(model, Classifier):
            name = str(model.folder or f"model {i + 1}")
            card, folder, origin = model.card, model.folder, model.origin
        else:
            name, folder = str(model), Path(model)
            card = ModelCard.load(folder)
            origin = Origin.load(folder, card)
        first = (name, card) if first is None else first
        rows.append(compared(name, card, folder).changed(warnings=tuple(incomparable(first, (name, card)))))
        curves[name] = [] if origin is None else list(origin.history)
    if plot is not None:
        plots.save_png(plots.compare_curves(curves), Path(plot))
    return Comparison(models=tuple(rows), warnings=distinct(w for row in rows for w in row.warnings))
