"""The tables of a recipe: every setting with its default and allowed values."""

from facevalue.training.settings.answers import CalibrationSettings, NoveltySettings
from facevalue.training.settings.augment import AugmentSettings
from facevalue.training.settings.base import Settings, expect
from facevalue.training.settings.data import GateSettings, SplitSettings
from facevalue.training.settings.fit import FitSettings, OptimizerSettings, ScheduleSettings
from facevalue.training.settings.methods import AdversarialSettings, DistillSettings, ProbeSettings
from facevalue.training.settings.network import NetworkSettings
from facevalue.training.settings.purpose import PurposeSettings
from facevalue.training.settings.sources import SourceSettings

__all__ = [
    "AdversarialSettings",
    "AugmentSettings",
    "CalibrationSettings",
    "DistillSettings",
    "FitSettings",
    "GateSettings",
    "NetworkSettings",
    "NoveltySettings",
    "OptimizerSettings",
    "ProbeSettings",
    "PurposeSettings",
    "ScheduleSettings",
    "Settings",
    "SourceSettings",
    "SplitSettings",
    "expect",
]
