"""The data of an inference request's inputs. No more objects are made of them than the input's shape says."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from facevalue.serve.answers import Refusal

_STRINGS = msgspec.json.Decoder(list[str])
_NUMBERS: dict[int, msgspec.json.Decoder[Any]] = {  # by how deep they are nested
    1: msgspec.json.Decoder(list[int]),
    2: msgspec.json.Decoder(list[list[int]]),
    3: msgspec.json.Decoder(list[list[list[int]]]),
    4: msgspec.json.Decoder(list[list[list[list[int]]]]),
}
_OPENING = re.compile(rb"(?:\s*\[)+")


def numbers(name: str, text: bytes, shape: Sequence[int]) -> NDArray[np.uint8]:
    """(n,) uint8 from a flat or nested JSON list of whole numbers in 0 to 255.

    Raises
    ------
    Refusal
        400 it is none, or has another number of values than the shape of the input ``name``.
    """
    count = text.count(b",") + 1
    if count != math.prod(shape):  # before there is a Python object of each
        raise Refusal(400, f"{name} has the shape {list(shape)} but {count} values")
    opening = _OPENING.match(text)
    depth = 0 if opening is None else opening[0].count(b"[")
    if depth not in _NUMBERS:
        raise Refusal(400, f"the data of {name} are nested deeper than its shape")
    try:
        return np.array(_NUMBERS[depth].decode(text), np.uint8).ravel()
    except (msgspec.DecodeError, OverflowError) as error:
        raise Refusal(400, f"{name} should hold whole numbers from 0 to 255") from error
    except ValueError as error:
        raise Refusal(400, f"the rows of {name} differ in length") from error


def base64_files(name: str, text: bytes, n: int) -> list[bytes]:
    """At most ``n`` files from a JSON list of base64 texts; raises :class:`Refusal` where it is none."""
    if text.count(b",") >= n:
        raise Refusal(400, f"{name} has the shape [{n}] but more elements")
    try:
        return [base64.b64decode(item, validate=True) for item in _STRINGS.decode(text)]
    except ValueError as error:  # msgspec's and binascii's errors are such
        raise Refusal(400, f"{name} in JSON should be base64; binary tensors hold the bytes themselves") from error


def packed_files(name: str, raw: bytes, n: int) -> list[bytes]:
    """At most ``n`` files, each after its length as 4 bytes; raises :class:`Refusal` where they are not so."""
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        if len(found) == n:
            raise Refusal(400, f"{name} has the shape [{n}] but more elements")
        size = int.from_bytes(raw[at : at + 4], "little")
        at += 4 + size
        if at > len(raw):
            raise Refusal(400, f"an element of {name} is longer than its tensor")
        found.append(raw[at - size : at])
    return found
