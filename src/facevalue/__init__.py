"""facevalue: image classifiers that people can trust, with the proof beside them.

The verbs are those of the command line: ``facevalue.train(...)``, ``facevalue.evaluate(...)``, …; ``facevalue.open`` is
the runtime's predictor and needs no torch, ``facevalue.load`` the workshop's classifier. Importing this loads none of
them: each comes when it is first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facevalue.classifier import load as load
    from facevalue.runtime import open_folder
    from facevalue.workshop import attack as attack
    from facevalue.workshop import augment_data as augment_data
    from facevalue.workshop import calibrate as calibrate
    from facevalue.workshop import certify as certify
    from facevalue.workshop import check as check
    from facevalue.workshop import compare as compare
    from facevalue.workshop import corruptions as corruptions
    from facevalue.workshop import demo as demo
    from facevalue.workshop import ensemble as ensemble
    from facevalue.workshop import evaluate as evaluate
    from facevalue.workshop import explain as explain
    from facevalue.workshop import export as export
    from facevalue.workshop import finetune as finetune
    from facevalue.workshop import get_data as get_data
    from facevalue.workshop import predict as predict
    from facevalue.workshop import prepare_data as prepare_data
    from facevalue.workshop import report as report
    from facevalue.workshop import scan_data as scan_data
    from facevalue.workshop import train as train
    from facevalue.workshop import tune as tune

    open = open_folder  # noqa: A001 - as gzip.open
    __version__: str

_WORKSHOP = (
    "train",
    "evaluate",
    "corruptions",
    "certify",
    "predict",
    "compare",
    "attack",
    "explain",
    "export",
    "report",
    "check",
    "calibrate",
    "tune",
    "finetune",
    "ensemble",
    "demo",
    "scan_data",
    "prepare_data",
    "augment_data",
    "get_data",
)
_HOMES = {
    **{verb: ("facevalue.workshop", verb) for verb in _WORKSHOP},
    "load": ("facevalue.classifier", "load"),
    "open": ("facevalue.runtime", "open_folder"),
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("facevalue")
    if name not in _HOMES:
        raise AttributeError(f"module 'facevalue' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Face(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system hangs every module on its package. `report` and `export` are modules, but the names here
        # are the verbs'; `from facevalue.export import ...` finds the module all the same.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
