"""A policy that was registered before a model's test images were looked at."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from typing import Any

from facevalue.evidence.record import Record


class RegisteredPolicy(Record, frozen=True):
    """The requirements that a model was to meet, fixed before its test figures existed.

    This shows that the requirements of *this* model were not fitted to its figures. It does not show how many models
    were trained and thrown away.

    Attributes
    ----------
    sha256 : of the requirements, see :func:`hash_of`.
    registered : when, in ISO 8601, UTC.
    text : the policy file.
    """

    sha256: str
    registered: str
    text: str

    @property
    def required(self) -> dict[str, Any]:
        """Its table ``[require]``."""
        table: dict[str, Any] = tomllib.loads(self.text)["require"]
        return table


def hash_of(required: Mapping[str, Any]) -> str:
    """SHA-256 of the table ``[require]`` as JSON with sorted keys.

    >>> hash_of({"n": 20, "accuracy": 0.9}) == hash_of({"accuracy": 0.9, "n": 20})
    True
    """
    return hashlib.sha256(json.dumps(required, sort_keys=True, default=str).encode()).hexdigest()
