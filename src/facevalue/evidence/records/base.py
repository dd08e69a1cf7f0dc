"""What all evidence has in common."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec

from facevalue.evidence.findings import Finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.record import Record

if TYPE_CHECKING:
    pass


Interval = tuple[float, float]
"""Low and high end of an interval, 95 % unless stated otherwise."""


Identity = tuple[object, ...]


class _AbstractRecord(msgspec.StructMeta, ABCMeta):
    """Metaclass of records with abstract methods."""


class Evidence(Record, frozen=True, kw_only=True, tag_field="kind", metaclass=_AbstractRecord):
    """Base of all evidence on a card: its provenance and its warnings."""

    provenance: Provenance
    warnings: tuple[Finding, ...] = ()

    @property
    def n(self) -> int:
        """Number of images it was measured on."""
        return self.provenance.n

    @property
    def split(self) -> str:
        """Which images: ``test``, another split, or the name of other images."""
        return self.provenance.split

    @abstractmethod
    def identity(self) -> Identity:
        """What was measured on which images. New evidence replaces older evidence of the same kind and identity."""

    @abstractmethod
    def title(self) -> str:
        """A short name for reports."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with ``split`` and ``n`` first and without the tag ``kind``."""
        plain = super().to_dict()
        plain.pop("kind")
        return {"split": self.split, "n": self.n, **plain}
