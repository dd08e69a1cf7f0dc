"""facevalue: image classifiers that people can trust, with the proof beside them.

The verbs are those of the command line: ``facevalue.train(...)``, ``facevalue.evaluate(...)``, …; ``facevalue.open`` is
the runtime's predictor and needs no torch, ``facevalue.load`` the classifier to evaluate, attack and explain. Importing
this loads none of them: each comes when it is first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facevalue.api.attack import attack as attack
    from facevalue.api.calibrate import calibrate as calibrate
    from facevalue.api.check import check as check
    from facevalue.api.compare import compare as compare
    from facevalue.api.data.augment import augment_data as augment_data
    from facevalue.api.data.get import get_data as get_data
    from facevalue.api.data.prepare import prepare_data as prepare_data
    from facevalue.api.data.scan import scan_data as scan_data
    from facevalue.api.demo import demo as demo
    from facevalue.api.ensemble import ensemble as ensemble
    from facevalue.api.evaluate import certify as certify
    from facevalue.api.evaluate import corruptions as corruptions
    from facevalue.api.evaluate import evaluate as evaluate
    from facevalue.api.explain import explain as explain
    from facevalue.api.export import export as export
    from facevalue.api.finetune import finetune as finetune
    from facevalue.api.predict import predict as predict
    from facevalue.api.report import report as report
    from facevalue.api.train import train as train
    from facevalue.api.tune import tune as tune
    from facevalue.models.classifier import load as load
    from facevalue.runtime import open_folder

    open = open_folder  # noqa: A001 - as gzip.open
    __version__: str

_HOMES = {
    **{
        verb: (f"facevalue.api.{verb}", verb)
        for verb in (
            "train evaluate predict compare attack explain export report check calibrate tune finetune ensemble demo"
        ).split()
    },
    **{f"{verb}_data": (f"facevalue.api.data.{verb}", f"{verb}_data") for verb in "scan prepare augment get".split()},
    "corruptions": ("facevalue.api.evaluate", "corruptions"),
    "certify": ("facevalue.api.evaluate", "certify"),
    "load": ("facevalue.models.classifier", "load"),
    "open": ("facevalue.runtime", "open_folder"),
}
"""Where each public name is defined: module and attribute."""

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


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system hangs every module on its package. `export` is a package, but the name here is the
        # verb's; `from facevalue.export import ...` finds the package all the same.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
