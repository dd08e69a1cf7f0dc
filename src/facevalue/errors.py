"""What can go wrong, as one tree.

Every message is one line that says what is wrong and what to do about it. The command line prints it without a
traceback and ends with the class's ``exit_code``: 1 the work failed, 2 wrong use.
"""

from __future__ import annotations


class FaceValueError(Exception):
    """Base of every error that facevalue raises on purpose."""

    exit_code = 1


class UsageError(FaceValueError):
    """A path, name or setting that the caller gave cannot be right."""

    exit_code = 2


class DataError(FaceValueError):
    """The images cannot serve: none, one class only, too few, or classes that do not match the model's."""


class ImageError(FaceValueError):
    """One file is not a readable image. The message is the reason alone, without the path."""


class ImageTooLargeError(ImageError):
    """One file has more pixels than allowed; it was not decoded."""


class ModelFolderError(UsageError):
    """A model folder is missing, incomplete, altered or from another version."""


class WeightsError(UsageError):
    """A weights file does not fit the network, or cannot be had."""


class ParityError(FaceValueError):
    """An exported file does not answer as the model does."""


class PolicyError(FaceValueError):
    """A model does not meet a required figure."""


class MissingExtraError(UsageError):
    """A part of facevalue is used whose optional packages are not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'facevalue[{extra}]'")
