"""Every kind of evidence that a card can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from facevalue.evidence.records.adapt import AdaptReport
from facevalue.evidence.records.attack import AttackReport
from facevalue.evidence.records.calibration import CalibrationReport
from facevalue.evidence.records.certificate import CertificateReport
from facevalue.evidence.records.corruptions import CorruptionReport
from facevalue.evidence.records.evaluation import Evaluation
from facevalue.evidence.records.explanations import ExplanationReport
from facevalue.evidence.records.exports import ExportReport, RuntimeReport
from facevalue.evidence.records.finetune import FinetuneReport
from facevalue.evidence.records.left_out import LeftOutReport
from facevalue.evidence.records.remade import RemadeReport
from facevalue.evidence.records.sources import SourceReport
from facevalue.evidence.records.strangers import StrangerReport

AnyEvidence = (
    Evaluation
    | CalibrationReport
    | AttackReport
    | CorruptionReport
    | RemadeReport
    | CertificateReport
    | FinetuneReport
    | AdaptReport
    | StrangerReport
    | ExplanationReport
    | ExportReport
    | RuntimeReport
    | SourceReport
    | LeftOutReport
)
