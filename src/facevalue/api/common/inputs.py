"""Inputs of the verbs: a model in memory or in a folder, and the model and data of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from facevalue.api.common.model_folder import keep
from facevalue.data.dataset import ImageDataset
from facevalue.data.evaluation_data import evaluation_data
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evidence.findings import Finding
from facevalue.evidence.outputs import ImageOutputs
from facevalue.evidence.records import (
    AttackReport,
    CalibrationReport,
    CertificateReport,
    CorruptionReport,
    Evaluation,
    RemadeReport,
    StrangerReport,
)
from facevalue.evidence.store import check_writable
from facevalue.models.classifier import Classifier, load
from facevalue.runtime import open_folder
from facevalue.runtime.base import ImagePredictor
from facevalue.runtime.predictor import stability_findings

Model = Classifier | Path | str
"""A classifier in memory, or a model folder."""

Measured = TypeVar(
    "Measured",
    Evaluation,
    CalibrationReport,
    AttackReport,
    CorruptionReport,
    RemadeReport,
    CertificateReport,
    StrangerReport,
)


def opened(model: Model) -> Classifier:
    """The classifier, loaded if ``model`` is a folder.

    Raises
    ------
    ModelFolderError
        The folder or one of its files is missing, was altered, or is for another version.
    UsageError
        ``model`` is neither a classifier nor a path.
    """
    if isinstance(model, Classifier):
        return model
    if isinstance(model, str | os.PathLike):
        return load(model)
    raise UsageError(f"Expected a model as a Classifier or a model folder, but got {type(model).__name__}")


@dataclass(frozen=True, eq=False)
class EvaluationContext:
    """A model and the labelled images to evaluate it on.

    Attributes
    ----------
    classifier : makes answers as asked for.
    saved : the model as it was given.
    dataset : with the model's preprocessing and class order.
    rows : the manifest rows of the images, in the dataset's order.
    warnings : findings about these images.
    folder : model folder that gets the evidence; ``None`` if it is only returned.
    predictor : the runtime for a model folder; the classifier itself for a model in memory.
    """

    classifier: Classifier
    saved: Classifier
    dataset: ImageDataset
    rows: pd.DataFrame
    warnings: tuple[Finding, ...]
    folder: Path | None
    predictor: ImagePredictor

    @classmethod
    def of(
        cls,
        model: Model,
        data: Data,
        *,
        split: str | None = None,
        classes: Mapping[str, str] | None = None,
        limit: int | None = None,
        seed: int = 0,
        save: bool = True,
        stable: int | None = None,
    ) -> EvaluationContext:
        """The context with the images of ``data`` that the model may be evaluated on.

        Parameters
        ----------
        split, classes : see :func:`facevalue.data.evaluation_data.evaluation_data`.
        limit : at most this many images, drawn evenly from the classes by ``seed``.
        save : write evidence to the card if ``model`` is a folder; raises at once if the folder is not writable.
        stable : see :func:`facevalue.open`.
        """
        saved = opened(model)
        card = saved.card.with_inputs(stable)
        classifier = saved if card is saved.card else saved.changed(card)
        folder = None if isinstance(model, Classifier) else Path(model)
        if folder is not None and save:
            check_writable(folder)
        origin = saved.origin
        known = None if origin is None else origin.manifest
        found = evaluation_data(classifier.card, known, data, split, classes, classifier.gate)
        dataset = found.dataset if limit is None else found.dataset.some(limit, seed)
        predictor: ImagePredictor = classifier
        if folder is not None:
            predictor = open_folder(folder)
            predictor.card = predictor.card.with_inputs(stable)
        return cls(
            classifier=classifier,
            saved=saved,
            dataset=dataset,
            rows=dataset.rows,
            warnings=(*found.warnings, *stability_findings(saved.card, card)),
            folder=folder if save else None,
            predictor=predictor,
        )

    def finished(self, report: Measured, *outputs: ImageOutputs) -> Measured:
        """The report with the warnings about the images; also written to the card unless ``save`` was false."""
        report = report.changed(warnings=(*self.warnings, *report.warnings))
        if self.folder is not None:
            keep(self.folder, self.saved.card, report, outputs=outputs)
        return report
