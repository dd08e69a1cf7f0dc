"""Names of programs, credit lines and cameras, in EXIF, XMP, IPTC and text entries."""

from __future__ import annotations

import re
from collections.abc import Mapping

from facevalue.marks import exif as tags
from facevalue.marks import iptc
from facevalue.marks.containers.base import Blocks
from facevalue.marks.generators import names_a_generator
from facevalue.marks.record import Kind, UnsignedMark, shown

_VALUE = r"(?:\s{0,9}=\s{0,9}[\"']|>)([^<\"']{1,1000})"
_XMP: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("software", re.compile(r"\bCreatorTool" + _VALUE)),
    ("software", re.compile(r"\bAISystemUsed" + _VALUE)),
    ("credit", re.compile(r"\bCredit" + _VALUE)),
)


def marks_in(blocks: Blocks, exif: Mapping[int, str]) -> list[UnsignedMark]:
    """Programs, credit lines and the camera."""
    named = iptc.texts_in(blocks.iptc)
    found = [
        _named("software", exif.get(tags.SOFTWARE, ""), "EXIF"),
        *(_named(kind, match[1], "XMP") for kind, pattern in _XMP if (match := pattern.search(blocks.xmp))),
        _named("software", named.get(iptc.PROGRAM, ""), "IPTC"),
        _named("credit", named.get(iptc.CREDIT, ""), "IPTC"),
        *(_named("software", value, "PNG text") for key, value in blocks.texts if key.lower() == "software"),
    ]
    maker, model = (exif.get(tag, "") for tag in (tags.MAKE, tags.MODEL))
    if not maker.startswith(("workflow:", "prompt:")) and not model.startswith(("workflow:", "prompt:")):
        # Many models begin with the maker's name.
        camera = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
        if camera.strip():
            found.append(UnsignedMark("camera", shown(camera), "EXIF", says="camera"))
    return [mark for mark in found if mark is not None]


def _named(kind: Kind, text: str, where: str) -> UnsignedMark | None:
    line = shown(text)
    if not line:
        return None
    return UnsignedMark(kind, line, where, says="ai" if names_a_generator(line) else None)
