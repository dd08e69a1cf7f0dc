"""The verbs in Python, with the same words as the command line.

Each is imported when it is first asked for: looking at pictures or fetching them needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facevalue.workshop.augmenting import augment_data as augment_data
    from facevalue.workshop.certifying import certify as certify
    from facevalue.workshop.collecting import get_data as get_data
    from facevalue.workshop.collecting import prepare_data as prepare_data
    from facevalue.workshop.combining import ensemble as ensemble
    from facevalue.workshop.corrupting import corruptions as corruptions
    from facevalue.workshop.demonstration import demo as demo
    from facevalue.workshop.examining import scan_data as scan_data
    from facevalue.workshop.finetuning import finetune as finetune
    from facevalue.workshop.judging import attack as attack
    from facevalue.workshop.judging import check as check
    from facevalue.workshop.judging import compare as compare
    from facevalue.workshop.judging import evaluate as evaluate
    from facevalue.workshop.making import TrainResult as TrainResult
    from facevalue.workshop.making import calibrate as calibrate
    from facevalue.workshop.making import train as train
    from facevalue.workshop.showing import explain as explain
    from facevalue.workshop.showing import export as export
    from facevalue.workshop.showing import predict as predict
    from facevalue.workshop.showing import report as report
    from facevalue.workshop.sizing import train_sizes as train_sizes
    from facevalue.workshop.tuning import tune as tune

_HOMES = {
    name: module
    for module, names in {
        "augmenting": "augment_data",
        "certifying": "certify",
        "collecting": "get_data prepare_data",
        "combining": "ensemble",
        "corrupting": "corruptions",
        "demonstration": "demo",
        "examining": "scan_data",
        "finetuning": "finetune",
        "judging": "attack check compare evaluate",
        "making": "TrainResult calibrate train",
        "showing": "explain export predict report",
        "sizing": "train_sizes",
        "tuning": "tune",
    }.items()
    for name in names.split()
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'facevalue.workshop' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"facevalue.workshop.{_HOMES[name]}"), name)
    return value
