"""China's label of AI content (GB 45438-2025, Annex E): JSON with the key ``AIGC``, in XMP, text entries or EXIF."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape

from facevalue.marks.record import UnsignedMark, shown

_START = re.compile(r"AIGC[\"'>=:\s]{1,12}(?=\{)")
_LABEL = re.compile(r"\"Label\"\s{0,4}:\s{0,4}\"?([123])\"?")
_PRODUCER = re.compile(r"\"ContentProducer\"\s{0,4}:\s{0,4}\"([^\"]{1,200})\"")
_WORDS = {"1": "made by an AI", "2": "may be made by an AI", "3": "suspected to be made by an AI"}
_REACH = 4000  # characters of JSON that are looked at


def marks_in(places: Iterable[tuple[str, str]]) -> list[UnsignedMark]:
    """The labels in pairs of a place and its text.

    >>> marks_in([("XMP", '<TC260:AIGC>{"Label":"1","ContentProducer":"maker"}</TC260:AIGC>')])[0].text
    'made by an AI, producer maker'
    """
    found = []
    for where, text in places:
        plain = unescape(text) if "&quot;" in text else text
        start = _START.search(plain)
        if start is None:
            continue
        json = plain[start.end() : start.end() + _REACH]
        label, producer = _LABEL.search(json), _PRODUCER.search(json)
        if label is not None:
            by = f", producer {shown(producer[1])}" if producer is not None else ""
            found.append(UnsignedMark("ai_label", _WORDS[label[1]] + by, where, says="ai" if label[1] == "1" else None))
    return found
