"""The exceptions of facevalue, as one class tree.

Every message is one line that says what is wrong and what to do. The command line prints it without a traceback and
exits with the class's ``exit_code``: 1 the work failed, 2 wrong use.
"""

from __future__ import annotations


class FaceValueError(Exception):
    """Base class of all errors that facevalue raises deliberately."""

    exit_code = 1


class UsageError(FaceValueError):
    """A path, name or setting from the caller is invalid."""

    exit_code = 2


class DataError(FaceValueError):
    """The images cannot be used: none, only one class, too few, or classes that do not match the model's."""


class ImageError(FaceValueError):
    """A file is not a readable image. The message is the reason only, without the path."""


class ImageTooLargeError(ImageError):
    """An image has more pixels than allowed; it was not decoded."""


class ModelFolderError(UsageError):
    """A model folder is missing, incomplete, was altered or is from another version."""


class WeightsError(UsageError):
    """A weights file does not fit the network, or cannot be read or downloaded."""


class ParityError(FaceValueError):
    """The predictions of an exported file differ from the model's."""


class PolicyError(FaceValueError):
    """A model does not meet a required figure."""


_EXTRAS = {
    "train": "captum cleanlab cv2 jinja2 lightning_fabric matplotlib onnx onnxscript pandas pyarrow safetensors scipy"
    " skimage sklearn timm torch torchvision",
    "tune": "optuna",
    "provenance": "c2pa",
    "serve": "fastapi httptools multipart prometheus_client python_multipart uvicorn uvloop",
}
"""By extra: if one of these packages is missing, the extra is not installed."""


class MissingExtraError(UsageError):
    """An optional package that this feature needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'facevalue[{extra}]'")

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> MissingExtraError | None:
        """The error for a failed import; ``None`` if the package is not of an extra."""
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in _EXTRAS.items() if package in packages.split()), None)
        return None if extra is None else cls(package, extra)
