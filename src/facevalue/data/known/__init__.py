"""The public datasets and files that ``facevalue data get`` can download, one record each."""

from facevalue.data.known.base import Archive, KnownFile, KnownSet
from facevalue.data.known.caltech101 import CALTECH_101, HUMANS_OR_OBJECTS
from facevalue.data.known.horses_or_humans import HORSES_OR_HUMANS
from facevalue.data.known.lfw import LFW
from facevalue.data.known.real_or_ai_faces import REAL_OR_AI_FACES
from facevalue.data.known.yunet import YUNET

__all__ = ["FILES", "KNOWN", "Archive", "KnownFile", "KnownSet"]

KNOWN: dict[str, KnownSet] = {
    "horses-or-humans": HORSES_OR_HUMANS,
    "lfw": LFW,
    "caltech-101": CALTECH_101,
    "humans-or-objects": HUMANS_OR_OBJECTS,
    "real-or-ai-faces": REAL_OR_AI_FACES,
}

FILES: dict[str, KnownFile] = {"yunet": YUNET}
