"""The face detector's file: where it is published, and where it is looked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError
from facevalue.evidence.gate_facts import GateFacts
from facevalue.faces.gate import FaceGate
from facevalue.faces.yunet import YuNet
from facevalue.support import files

PathLike = str | os.PathLike[str]

NAME = "face_detection_yunet_2026may.onnx"
BYTES = 229_738
SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
"""As the Git LFS pointer in the OpenCV zoo gives it."""

LICENCE = "MIT"
HOME = "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"
_COMMIT = "26cc381e4d2594bb9f47a26eb8fd96c94a13660d"
URL = f"https://media.githubusercontent.com/media/opencv/opencv_zoo/{_COMMIT}/models/face_detection_yunet/{NAME}"

GET = "facevalue data get yunet"
"""The command that downloads it."""


def default_path() -> Path:
    """Where :data:`GET` puts the file, and where it is looked for."""
    return files.cache_folder() / "detectors" / NAME


def published_gate(given: PathLike | None = None, **limits: Any) -> FaceGate:
    """A gate with the published detector.

    Parameters
    ----------
    given : see :func:`found`.
    limits : fields of :class:`~facevalue.evidence.gate_facts.GateFacts` that are not the default.
    """
    return FaceGate(GateFacts(detector=NAME, sha256=SHA256, licence=LICENCE, **limits), found(given))


def found(given: PathLike | None = None, sha256: str | None = None) -> YuNet:
    """The detector.

    Parameters
    ----------
    given : the file; by default the downloaded one.
    sha256 : that the file must have; by default the published one.

    Raises
    ------
    UsageError
        The file does not exist, or has other contents.
    """
    wanted = SHA256 if sha256 is None else sha256
    path = default_path() if given is None else Path(given)
    try:
        model = path.read_bytes()
    except OSError as error:
        if given is None:
            raise UsageError(
                f"the face detector is not on this machine: run `{GET}` (0.2 MB, {LICENCE}), or name its file with "
                "`gate_model`; to go on without looking for faces, set `gate` to none"
            ) from error
        reason = os.strerror(error.errno or 0)
        raise UsageError(f"{path} cannot be read: {reason}; `{GET}` downloads the face detector") from error
    got = hashlib.sha256(model).hexdigest()
    if got != wanted:
        raise UsageError(
            f"{path} is not the face detector that is needed: its SHA-256 is {got}, expected {wanted}; run `{GET}`"
        )
    return YuNet(model, str(path))
