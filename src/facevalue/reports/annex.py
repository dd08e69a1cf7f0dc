"""Where a report has what ISO/IEC TS 4213:2022 asks for, clause by clause: how to assess classification performance."""

from __future__ import annotations

from dataclasses import dataclass

from facevalue.evidence.card import ModelCard
from facevalue.evidence.purpose import purpose_of
from facevalue.evidence.records import (
    AttackReport,
    CorruptionReport,
    Evaluation,
    ExportReport,
    RemadeReport,
    RuntimeReport,
)
from facevalue.support.formats import percent


@dataclass(frozen=True)
class Clause:
    """One clause.

    Attributes
    ----------
    number, topic : of the clause; the topic in our words.
    found : what this report has on it.
    missing : whether it has nothing.
    """

    number: str
    topic: str
    found: str
    missing: bool = False


def annex(card: ModelCard) -> tuple[Clause, ...]:
    """The clauses of parts 5 to 7 of the standard that concern a report."""
    test, source = card.evaluation("test"), card.provenance.source
    rows = [
        _clause("5.2", "purpose of the assessment", purpose_of(card).intended),
        _clause("5.3.2", "representative data, bias", _representative(card)),
        _clause("5.3.3", "preprocessing", _preprocessing(card)),
        _clause("5.3.4", "training data", _counts(card, "train")),
        _clause("5.3.5", "test and validation data", _counts(card, "validation", "calibration", "test")),
        _clause("5.3.6", "cross-validation", _cross_validation(card)),
        _clause("5.3.7", "information leakage", _leakage(card)),
        _clause("5.3.8", "channel effects", _channels(card)),
        _clause("5.3.9", "ground truth", f"the labels of {source}" if source else ""),
        _clause("5.3.10", "algorithm, hyperparameters", "Model: every setting of the recipe" if card.recipe else ""),
        _clause("5.3.11", "evaluation environment", _versions(card)),
        _clause("5.3.12", "acceleration", _runtimes(card)),
        _clause("5.3.13", "baselines", _baselines(test)),
        _clause("6.2", "confusion matrix, accuracy, recall", _figures(test)),
        _clause("6.3", "binary: ROC and precision-recall areas", _areas(test)),
        _clause("6.6", "cost of computing", _cost(card)),
        _clause("7", "intervals and tests", "95 % intervals beside the figures; paired tests: `facevalue compare`"),
    ]
    return tuple(rows)


def _clause(number: str, topic: str, found: str) -> Clause:
    return Clause(number, topic, found or "nothing", not found)


def _representative(card: ModelCard) -> str:
    columns = {study.column for report in card.of_kind(Evaluation) for study in report.slices}
    return f"Evidence: figures by {', '.join(sorted(columns))}" if columns else ""


def _preprocessing(card: ModelCard) -> str:
    how = card.preprocessing
    return f"Model: {how.size} × {how.size} pixels, {how.fit}, {how.filter}; the same code in training and use"


def _counts(card: ModelCard, *splits: str) -> str:
    parts = [f"{name} {sum(card.data.counts[name].values()):,}" for name in splits if name in card.data.counts]
    return f"Data: {', '.join(parts)} images by class" if parts else ""


def _cross_validation(card: ModelCard) -> str:
    if card.recipe.get("method") == "probe":
        return "the head's strength is chosen on validation; the calibration method by cross-validation over groups"
    return "the calibration method is chosen by cross-validation over groups" if card.recipe else ""


def _leakage(card: ModelCard) -> str:
    if not card.data.counts:
        return ""
    near = card.recipe.get("split", {}).get("near", 0)
    alike = "copies count as one group" if near < 0 else "copies and near-duplicates count as one group"
    return f"Data: a group (by {card.data.groups}) is in one split; {alike}"


def _channels(card: ModelCard) -> str:
    if not card.data.counts:
        return ""
    warned = [w.code for w in card.data.warnings if "shortcut" in w.code or "processing" in w.code]
    found = [f"Warnings: {', '.join(warned)}" if warned else "no warning about file facts or processing is on the card"]
    if card.of_kind(CorruptionReport):
        found.append("Everyday corruptions")
    if card.of_kind(RemadeReport):
        found.append("Re-made images")
    return "; ".join(found)


def _versions(card: ModelCard) -> str:
    versions = card.provenance.versions
    return f"Model: versions of {', '.join(versions)}" if versions else ""


def _runtimes(card: ModelCard) -> str:
    reports = [*card.of_kind(RuntimeReport), *card.of_kind(ExportReport)]
    return "Exports, Runtimes: whether each engine answers as the model does" if reports else ""


def _baselines(test: Evaluation | None) -> str:
    if test is None or not test.confusion:
        return ""
    counts = [sum(row) for row in test.confusion]
    largest = test.classes[counts.index(max(counts))]
    return f"always answering {largest!r} would have an accuracy of {percent(max(counts) / sum(counts))}"


def _figures(test: Evaluation | None) -> str:
    return "Evidence: on test, with 95 % intervals" if test is not None else ""


def _areas(test: Evaluation | None) -> str:
    return "Evidence: AUROC and average precision on test" if test is not None and test.auroc is not None else ""


def _cost(card: ModelCard) -> str:
    seconds = card.provenance.seconds
    made = f"made in {seconds:,.0f} s; " if seconds else ""
    attacked = "; attacks with their gradient steps and seconds" if card.of_kind(AttackReport) else ""
    return f"Model: {made}{card.network.parameters:,} parameters{attacked}"
