"""``evaluate``: every figure of a model on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facevalue import decision
from facevalue.api.common.model_folder import keep
from facevalue.data.evaluation_data import evaluation_data
from facevalue.evaluation.evaluate import evaluate_dataset, now
from facevalue.evaluation.slices import study, values_of
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import (
    CertificateReport,
    CorruptionReport,
    Evaluation,
    SliceStudy,
)
from facevalue.evidence.store import check_writable
from facevalue.models.classifier import load
from facevalue.models.features import outputs_of
from facevalue.reports import plots
from facevalue.robustness.certificates import certify_dataset
from facevalue.robustness.corruptions.evaluate import evaluate_corruptions
from facevalue.robustness.defenses.smoothing import Smoothing
from facevalue.runtime import open_folder
from facevalue.support import machine


def evaluate(
    model: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    slices: Sequence[str] = (),
    save: bool = True,
    command: str = "",
) -> Evaluation:
    """Every figure of a model on images with known labels, kept on its card.

    Parameters
    ----------
    data : one folder per class, a folder of splits (its test images are taken), or a manifest. Classes are matched by
        name; a folder may lack some.
    split : take these images instead. Where ``data`` brings no splits, those that the model was made with.
    slices : columns by whose values the figures are told apart; see :func:`facevalue.evaluation.slices.values_of`.
    save : keep the report on the model's card.

    Raises
    ------
    DataError
        ``data`` has a class that the model does not know, or nothing to evaluate on.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        check_writable(folder)
    asked = evaluation_data(folder, classifier.card, Path(data), split)
    chosen = asked.dataset
    columns = {column: values_of(asked.rows, column) for column in slices}
    machine.keep_memory()
    outputs = outputs_of(classifier, chosen, f"evaluating on {chosen.name}")
    card = classifier.card
    decided = decision.decide(outputs.probabilities(classifier), card.positive_index, card.threshold)
    report = evaluate_dataset(classifier, chosen, outputs=outputs, command=command)
    report = report.changed(
        warnings=(*asked.warnings, *report.warnings),
        slices=tuple(study(name, values, chosen.labels, decided, card.classes) for name, values in columns.items()),
    )
    if save:
        keep(folder, report.changed(slices=(*report.slices, *_known_slices(card, report))))
    return report


def _known_slices(card: ModelCard, report: Evaluation) -> list[SliceStudy]:
    """What the card says already of the same images by other columns."""
    known = [e for e in card.evidence if isinstance(e, Evaluation) and e.fingerprint == report.fingerprint]
    asked = {s.column for s in report.slices}
    return [s for e in known if e.split == report.split for s in e.slices if s.column not in asked]


def corruptions(
    model: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    limit: int | None = 500,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> CorruptionReport:
    """Accuracy under everyday corruptions, kept on the model's card.

    Each image is damaged as it was decoded, before the preprocessing, and asked of ``model.onnx`` through the runtime:
    what a user of the model would get for such a file.

    Parameters
    ----------
    data, split : as :func:`facevalue.api.evaluate` takes them.
    limit : use at most this many images, drawn evenly from the classes; ``None`` for all.
        Each is asked about 41 times.
    seed : of what is random in the corruption, and of which images are drawn.
    plot : a PNG with a curve for each kind of corruption.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        check_writable(folder)
    asked = evaluation_data(folder, classifier.card, Path(data), split)
    chosen = asked.dataset.some(limit, seed) if limit is not None else asked.dataset
    report = evaluate_corruptions(open_folder(folder), chosen, seed)
    report = report.changed(warnings=(*asked.warnings, *report.warnings), command=command, created=now())
    if plot is not None:
        plots.save_png(plots.corruption_curves(report), Path(plot))
    if save:
        keep(folder, report)
    return report


def certify(
    model: Path | str,
    data: Path | str,
    *,
    sigma: float = 0.25,
    samples: int = 1000,
    alpha: float = 0.001,
    split: str | None = None,
    limit: int | None = 100,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> CertificateReport:
    """Accuracy of the smoothed model that is proven against every change up to an L2 radius, kept on the card.

    The certificate is about the model behind noise, not about the plain one; a model that was not trained with such
    noise (``augment.noise``) has little of it.

    Parameters
    ----------
    data, split : as :func:`facevalue.api.evaluate` takes them.
    sigma, samples, alpha : see :class:`facevalue.robustness.defenses.smoothing.Smoothing`.
    limit : certify at most this many images, drawn evenly from the classes; ``None`` for all.
    plot : a PNG of certified accuracy against the radius.
    """
    smoothing = Smoothing(sigma=sigma, samples=samples, alpha=alpha)
    folder = Path(model)
    classifier = load(folder)
    if save:
        check_writable(folder)
    asked = evaluation_data(folder, classifier.card, Path(data), split)
    chosen = asked.dataset.some(limit, seed) if limit is not None else asked.dataset
    machine.keep_memory()
    report = certify_dataset(classifier, chosen, smoothing, seed)
    report = report.changed(warnings=(*asked.warnings, *report.warnings), command=command, created=now())
    if plot is not None:
        plots.save_png(plots.certified_curve([report]), Path(plot))
    if save:
        keep(folder, report)
    return report
