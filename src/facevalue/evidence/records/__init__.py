"""Evidence: measurements of a model, as frozen records with n, intervals and provenance."""

from facevalue.evidence.records.adapt import AdaptedSource, AdaptReport
from facevalue.evidence.records.all_evidence import AnyEvidence
from facevalue.evidence.records.attack import DISTILLATION, AttackFigures, AttackReport, NoiseFigures
from facevalue.evidence.records.base import Evidence, Identity, Interval
from facevalue.evidence.records.calibration import CalibrationReport, ConditionFigures
from facevalue.evidence.records.certificate import CertificateReport, CertifiedAccuracy
from facevalue.evidence.records.corruptions import CorruptionFigures, CorruptionReport
from facevalue.evidence.records.evaluation import Bin, Evaluation, Gap, ProbabilityFigures, SliceFigures, SliceStudy
from facevalue.evidence.records.explanations import ExplanationFigures, ExplanationReport
from facevalue.evidence.records.exports import ExportReport, ParityFigures, RuntimeReport
from facevalue.evidence.records.finetune import Change, FinetuneReport
from facevalue.evidence.records.left_out import LeftOutFigures, LeftOutReport
from facevalue.evidence.records.remade import PipelineFigures, RateGap, RemadeReport
from facevalue.evidence.records.sources import (
    BaselineFigures,
    PairFigures,
    Permuted,
    SourceFigures,
    SourceReport,
    SwapFigures,
    WithinClass,
)
from facevalue.evidence.records.strangers import StrangerFigures, StrangerReport

__all__ = [
    "DISTILLATION",
    "AdaptReport",
    "AdaptedSource",
    "AnyEvidence",
    "AttackFigures",
    "AttackReport",
    "BaselineFigures",
    "Bin",
    "CalibrationReport",
    "CertificateReport",
    "CertifiedAccuracy",
    "Change",
    "ConditionFigures",
    "CorruptionFigures",
    "CorruptionReport",
    "Evaluation",
    "Evidence",
    "ExplanationFigures",
    "ExplanationReport",
    "ExportReport",
    "FinetuneReport",
    "Gap",
    "Identity",
    "Interval",
    "LeftOutFigures",
    "LeftOutReport",
    "NoiseFigures",
    "PairFigures",
    "ParityFigures",
    "Permuted",
    "PipelineFigures",
    "ProbabilityFigures",
    "RateGap",
    "RemadeReport",
    "RuntimeReport",
    "SliceFigures",
    "SliceStudy",
    "SourceFigures",
    "SourceReport",
    "StrangerFigures",
    "StrangerReport",
    "SwapFigures",
    "WithinClass",
]
