"""What a model is for, in the words of whoever trains it."""

from __future__ import annotations

from facevalue.training.settings.base import Settings


class PurposeSettings(Settings, frozen=True):
    """What the model is for and what it is not for. The report and the model card show it; nothing else depends on it.

    Attributes
    ----------
    intended : a sentence: for which images and which decision.
    not_for : uses that it was not made for.
    """

    intended: str = ""
    not_for: tuple[str, ...] = ()
