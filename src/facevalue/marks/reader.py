"""Read the marks of files."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import final

from facevalue.marks import ai_label, generators, makers, source_types
from facevalue.marks import exif as exif_texts
from facevalue.marks.containers import blocks_of, media_type
from facevalue.marks.containers.base import Blocks
from facevalue.marks.credentials import REMOTE, CredentialsReader
from facevalue.marks.record import Credentials, OriginMarks, UnsignedMark

_MANIFEST = b"jumdc2pa"
"""How a C2PA manifest store begins: a JUMBF description box and the first bytes of its type."""

_REMOTE = re.compile(r"dcterms:provenance(?:\s{0,9}=\s{0,9}[\"']|>)([^<\"']{1,500})")


def unsigned_in(blocks: Blocks) -> tuple[UnsignedMark, ...]:
    """The marks without a signature, each once."""
    exif = exif_texts.texts_in(blocks.exif)
    texts = [("PNG text" if key != "Comment" else "comment", f"{key}:{value}") for key, value in blocks.texts]
    places = [("XMP", blocks.xmp), *texts, *(("EXIF", text) for text in exif.values())]
    found = [
        *source_types_in(blocks.xmp),
        *ai_label.marks_in(places),
        *generators.marks_in(blocks.texts, exif),
        *makers.marks_in(blocks, exif),
    ]
    return tuple(dict.fromkeys(found))


def source_types_in(xmp: str) -> list[UnsignedMark]:
    """IPTC's digital source types in XMP data."""
    return [
        UnsignedMark("source_type", name, "XMP", says=source_types.says_of(name)) for name in source_types.in_xmp(xmp)
    ]


def kinds_in(data: bytes) -> tuple[str, ...]:
    """Which kinds of marks a file has, sorted: ``credentials`` and those of :data:`facevalue.marks.record.Kind`.

    Nothing is verified.
    """
    signed = ("credentials",) if _MANIFEST in data else ()
    return tuple(sorted({*signed, *(mark.kind for mark in unsigned_in(blocks_of(data)))}))


@final
class MarkReader:
    """Reads the marks of files, and checks Content Credentials. Thread-safe.

    Parameters
    ----------
    trust_list : a PEM file with the certificates of authorities whose signers are ``trusted``. Without one, no signer
        is, and credentials are ``valid`` at best.

    Raises
    ------
    UsageError
        ``trust_list`` cannot be read, or has no certificate.
    MissingExtraError
        A ``trust_list`` is given, and c2pa-python is not installed.
    """

    def __init__(self, trust_list: Path | str | None = None) -> None:
        self._credentials = CredentialsReader(trust_list)

    def __enter__(self) -> MarkReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process that checks credentials, if one was started."""
        self._credentials.close()

    def of(self, data: bytes) -> OriginMarks:
        """The marks of a file's bytes. No network is used, and nothing is raised for damaged files."""
        kind = media_type(data)
        blocks = blocks_of(data)
        return OriginMarks(self._signed(data, kind, blocks.xmp), unsigned_in(blocks))

    def _signed(self, data: bytes, kind: str | None, xmp: str) -> Credentials:
        if kind is None:
            return Credentials()
        # Every manifest has these letters, so all other files are spared the check.
        if b"c2pa" in data:
            found = self._credentials.of(data, kind, _MANIFEST in data)
            if found.state != "none":
                return found
        remote = _REMOTE.search(xmp)
        if remote is not None and remote[1].startswith(("http:", "https:")):
            return REMOTE
        return Credentials()
