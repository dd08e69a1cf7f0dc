"""YuNet, the face detector of the face gate."""

from facevalue.data.known.base import KnownFile
from facevalue.faces import model_file

YUNET = KnownFile(
    name="yunet",
    title="the face detector of the face gate (Wu et al. 2023), in ONNX",
    url=model_file.URL,
    file=model_file.NAME,
    bytes=model_file.BYTES,
    sha256=model_file.SHA256,
    licence=model_file.LICENCE,
    home=model_file.HOME,
)
