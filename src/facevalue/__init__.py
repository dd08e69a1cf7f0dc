"""facevalue: train image classifiers, measure how far they can be trusted, and use them.

The verbs have the names of the commands: ``facevalue.train(...)``, ``facevalue.evaluate(...)``, …
``facevalue.open`` opens a model folder for prediction without torch; ``facevalue.load`` opens it as a classifier to
evaluate, attack and explain. ``import facevalue`` is fast: each name is imported at its first use.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facevalue import explanations as explanations
    from facevalue import sklearn as sklearn
    from facevalue.api.attack import attack as attack
    from facevalue.api.calibrate import calibrate as calibrate
    from facevalue.api.certify_runtimes import certify_runtimes as certify_runtimes
    from facevalue.api.check import check as check
    from facevalue.api.compare import compare as compare
    from facevalue.api.data.augment import augment_data as augment_data
    from facevalue.api.data.get import get_data as get_data
    from facevalue.api.data.prepare import prepare_data as prepare_data
    from facevalue.api.data.scan import scan_data as scan_data
    from facevalue.api.demo import demo as demo
    from facevalue.api.ensemble import ensemble as ensemble
    from facevalue.api.evaluate import certify as certify
    from facevalue.api.evaluate import evaluate as evaluate
    from facevalue.api.evaluate import evaluate_calibration as evaluate_calibration
    from facevalue.api.evaluate import evaluate_corruptions as evaluate_corruptions
    from facevalue.api.evaluate import evaluate_explanations as evaluate_explanations
    from facevalue.api.evaluate import evaluate_left_out as evaluate_left_out
    from facevalue.api.evaluate import evaluate_remade as evaluate_remade
    from facevalue.api.evaluate import evaluate_strangers as evaluate_strangers
    from facevalue.api.explain import explain as explain
    from facevalue.api.export import export as export
    from facevalue.api.finetune import finetune as finetune
    from facevalue.api.predict import predict as predict
    from facevalue.api.pull import pull as pull
    from facevalue.api.push import push as push
    from facevalue.api.report import report as report
    from facevalue.api.serve import serve as serve
    from facevalue.api.sign import sign as sign
    from facevalue.api.train import train as train
    from facevalue.api.tune import tune as tune
    from facevalue.api.verify import verify as verify
    from facevalue.data.dataset import ImageDataset as ImageDataset
    from facevalue.errors import FaceValueError as FaceValueError
    from facevalue.evidence.card import ModelCard as ModelCard
    from facevalue.evidence.records import AttackReport as AttackReport
    from facevalue.evidence.records import Evaluation as Evaluation
    from facevalue.images.preprocessing import Preprocessing as Preprocessing
    from facevalue.models import networks as networks
    from facevalue.models.classifier import Classifier as Classifier
    from facevalue.models.classifier import load as load
    from facevalue.robustness import attacks as attacks
    from facevalue.robustness import corruptions as corruptions
    from facevalue.robustness import defenses as defenses
    from facevalue.robustness.attacks.threat import Threat as Threat
    from facevalue.runtime import Predictor as Predictor
    from facevalue.runtime import open_folder
    from facevalue.runtime.scoring.run import predict_to_parquet as predict_to_parquet
    from facevalue.types import Prediction as Prediction

    open = open_folder  # noqa: A001 - as gzip.open
    __version__: str

_VERBS = (
    "train evaluate predict compare attack explain export certify_runtimes report check calibrate tune finetune adapt"
    " ensemble serve demo push pull sign verify"
).split()
_DATA_VERBS = "scan prepare augment get".split()

_DEFINED_IN = {
    **{verb: f"api.{verb}:{verb}" for verb in _VERBS},
    **{f"{verb}_data": f"api.data.{verb}:{verb}_data" for verb in _DATA_VERBS},
    "evaluate_corruptions": "api.evaluate:evaluate_corruptions",
    "evaluate_strangers": "api.evaluate:evaluate_strangers",
    "evaluate_calibration": "api.evaluate:evaluate_calibration",
    "evaluate_explanations": "api.evaluate:evaluate_explanations",
    "evaluate_remade": "api.evaluate:evaluate_remade",
    "evaluate_left_out": "api.evaluate:evaluate_left_out",
    "certify": "api.evaluate:certify",
    "open": "runtime:open_folder",
    "predict_to_parquet": "runtime.scoring.run:predict_to_parquet",
    "load": "models.classifier:load",
    "Classifier": "models.classifier:Classifier",
    "Predictor": "runtime:Predictor",
    "ImageDataset": "data.dataset:ImageDataset",
    "Preprocessing": "images.preprocessing:Preprocessing",
    "Prediction": "types:Prediction",
    "ModelCard": "evidence.card:ModelCard",
    "Evaluation": "evidence.records:Evaluation",
    "AttackReport": "evidence.records:AttackReport",
    "Threat": "robustness.attacks.threat:Threat",
    "FaceValueError": "errors:FaceValueError",
    "attacks": "robustness.attacks",
    "defenses": "robustness.defenses",
    "corruptions": "robustness.corruptions",
    "explanations": "explanations",
    "networks": "models.networks",
    "sklearn": "sklearn",
}
"""Where each public name is defined: ``module:attribute``, or a module."""

__all__ = [*_DEFINED_IN, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("facevalue")
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'facevalue' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _DEFINED_IN[name].partition(":")
    try:
        found = import_module(f"facevalue.{module}")
    except ModuleNotFoundError as error:
        from facevalue.errors import MissingExtraError

        missing = MissingExtraError.of(error)
        if missing is None:
            raise
        raise missing from error
    value = globals()[name] = getattr(found, attribute) if attribute else found
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system sets every submodule as an attribute of its package. `export` and `serve` are packages, but
        # `facevalue.export` must stay the verb; `from facevalue.export import ...` still finds the package.
        if not (isinstance(value, ModuleType) and ":" in _DEFINED_IN.get(name, "")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
