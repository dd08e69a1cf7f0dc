"""The verbs in Python, with the same words as the command line."""

from facevalue.workshop.certifying import certify
from facevalue.workshop.collecting import get_data, prepare_data
from facevalue.workshop.combining import ensemble
from facevalue.workshop.corrupting import corruptions
from facevalue.workshop.demonstration import demo
from facevalue.workshop.examining import scan_data
from facevalue.workshop.finetuning import finetune
from facevalue.workshop.judging import attack, check, compare, evaluate
from facevalue.workshop.making import TrainResult, calibrate, train
from facevalue.workshop.showing import explain, export, predict, report
from facevalue.workshop.tuning import tune

__all__ = [
    "TrainResult",
    "attack",
    "calibrate",
    "certify",
    "check",
    "compare",
    "corruptions",
    "demo",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "get_data",
    "predict",
    "prepare_data",
    "report",
    "scan_data",
    "train",
    "tune",
]
