"""Class names that look the same or nearly so: other Unicode forms, spaces, case, accents or alphabets."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from facevalue.evidence.findings import Finding, finding

# Invisible characters: soft hyphen, zero-width space, word joiner, byte order mark, direction marks.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
# Cyrillic and Greek letters that look like Latin ones.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһкмтвнАЕОРСУХІЈЅКМТВНαοιρνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhkmtbhAEOPCYXIJSKMTBHaoipvABEZHIKMNOPTYX"
)


def label_of(name: str) -> str:
    """The class label of a folder name or table cell: NFC, single spaces, none at the ends, no invisible characters.

    >>> label_of(" cafe\\u0301 ") == "caf\\u00e9"
    True
    """
    plain = " ".join(unicodedata.normalize("NFC", name).translate(_INVISIBLE).split())
    return plain or name


def same_key(label: str) -> str:
    """Equal for labels that differ only in dots or spaces at the end, which are taken for the same class."""
    return label.rstrip(". ") or label


def likeness(label: str) -> str:
    """Equal for labels that look alike: they differ only in case, width, alphabet, separators or accents.

    >>> likeness("Hot-Dog") == likeness("hot dog")
    True
    """
    plain = unicodedata.normalize("NFKD", label.translate(_LOOKALIKES)).casefold()
    return "".join(c for c in plain if c.isalnum()) or label


def joined(names: Iterable[str]) -> dict[str, str]:
    """The label of each name. Names that look the same get the same label: the first in sorted order.

    >>> joined(["dog", "dog.", " cat"])
    {' cat': 'cat', 'dog': 'dog', 'dog.': 'dog'}
    """
    first: dict[str, str] = {}
    return {name: first.setdefault(same_key(label_of(name)), label_of(name)) for name in sorted(set(names))}


def name_findings(labels: Mapping[str, str]) -> list[Finding]:
    """Findings about the result of :func:`joined`: names that became one class, and classes whose names look alike."""
    same: dict[str, list[str]] = {}
    for name, label in labels.items():
        same.setdefault(label, []).append(name)
    found = []
    for label, names in same.items():
        if len(names) > 1:
            text = f"these names look the same and were joined to one class {label!r}: {', '.join(map(ascii, names))}"
            found.append(finding("class-names-joined", text, label=label, names=tuple(names)))
    alike: dict[str, list[str]] = {}
    for label in sorted(same):
        alike.setdefault(likeness(label), []).append(label)
    for group in alike.values():
        if len(group) > 1:
            text = (
                f"these class names look nearly the same but stay different classes: {', '.join(map(repr, group))}; "
                "if they are one class, give them the same name"
            )
            found.append(finding("class-names-alike", text, labels=tuple(group)))
    return found
