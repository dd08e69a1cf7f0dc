"""IPTC's digital source types, in words (https://cv.iptc.org/newscodes/digitalsourcetype, read November 2026)."""

from __future__ import annotations

import re
from typing import Literal

Says = Literal["ai", "computer", "person", "camera"]
"""Who made an image, as a mark claims: a generative AI, another program, a person with tools, a camera."""

SOURCE_TYPES: dict[str, tuple[Says | None, str]] = {
    "trainedAlgorithmicMedia": ("ai", "made by a generative AI"),
    "compositeWithTrainedAlgorithmicMedia": ("ai", "parts made or changed by a generative AI"),
    "compositeSynthetic": ("computer", "put together, with synthetic parts"),
    "algorithmicMedia": ("computer", "made by a program that was not trained on data"),
    "trainedAlgorithmicData": ("computer", "data made by a trained program"),
    "dataDrivenMedia": ("computer", "drawn by a program from data"),
    "virtualRecording": ("computer", "recorded in a virtual scene"),
    "softwareImage": ("computer", "made by a program"),
    "digitalCreation": ("person", "made by a person with a program"),
    "digitalArt": ("person", "made by a person with a program"),
    "humanEdits": ("person", "edited by a person"),
    "minorHumanEdits": ("person", "edited a little by a person"),
    "digitalCapture": ("camera", "taken with a digital camera"),
    "computationalCapture": ("camera", "taken with a digital camera from several exposures"),
    "compositeCapture": ("camera", "put together from several photographs"),
    "negativeFilm": ("camera", "digitised from a film negative"),
    "positiveFilm": ("camera", "digitised from a film positive"),
    "print": ("camera", "digitised from a print"),
    "algorithmicallyEnhanced": (None, "improved by a program"),
    "composite": (None, "put together from several images"),
    "screenCapture": (None, "a picture of a screen"),
}
"""By the last part of the type's address: who made the image, and words for people."""

MOST = 8
"""Most types that are read from one file."""

_IN_XMP = re.compile(r"DigitalSourceType(?:(?:\s{1,9}rdf:resource)?\s{0,9}=\s{0,9}[\"']|>)\s{0,9}([^\"'<\s]{1,200})")


def short(address: str) -> str:
    """The last part of a type's address.

    >>> short("http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture")
    'digitalCapture'
    """
    return address.rstrip("/").rpartition("/")[2].rpartition(":")[2]


def says_of(name: str) -> Says | None:
    """Who made an image of this type; ``None`` if the type is not known or does not say."""
    return SOURCE_TYPES[name][0] if name in SOURCE_TYPES else None


def words_of(name: str) -> str:
    """A type in words; an unknown one in quotes.

    >>> words_of("digitalCapture"), words_of("other")
    ('taken with a digital camera', "'other'")
    """
    return SOURCE_TYPES[name][1] if name in SOURCE_TYPES else repr(name)


def in_xmp(xmp: str) -> tuple[str, ...]:
    """The types that XMP data name, each once.

    >>> in_xmp('<x Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/print"/>')
    ('print',)
    """
    found = (short(match[1]) for match in _IN_XMP.finditer(xmp))
    return tuple(dict.fromkeys(name for name in found if name))[:MOST]
