"""Names that people take for one: as they are written in Unicode, with blanks around them, in capitals."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from facevalue.evidence.findings import Finding, finding

# What takes no room on a screen: soft hyphen, zero-width space, word joiner, byte order mark, direction marks.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
# Cyrillic and Greek letters that look Latin.
_TWINS = str.maketrans(
    "аеорсухіјѕԁһкмтвнАЕОРСУХІЈЅКМТВНαοιρνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhkmtbhAEOPCYXIJSKMTBHaoipvABEZHIKMNOPTYX"
)


def label_of(name: str) -> str:
    """The class that a folder's name or a table's cell stands for: NFC, one kind of blank, none at the ends.

    >>> label_of(" cafe\\u0301 ") == "caf\\u00e9"
    True
    """
    plain = " ".join(unicodedata.normalize("NFC", name).translate(_UNSEEN).split())
    return plain or name


def same_key(label: str) -> str:
    """Equal for labels that no person means differently: those that differ in dots or blanks at the end only."""
    return label.rstrip(". ") or label


def likeness(label: str) -> str:
    """Equal for labels that look alike, or nearly: in other cases, widths, alphabets, with other separators or accents.

    >>> likeness("Hot-Dog") == likeness("hot dog")
    True
    """
    plain = unicodedata.normalize("NFKD", label.translate(_TWINS)).casefold()
    return "".join(c for c in plain if c.isalnum()) or label


def joined(names: Iterable[str]) -> dict[str, str]:
    """The label of each name. Names that differ in nothing that a person sees get one: the first, sorted.

    >>> joined(["dog", "dog.", " cat"])
    {' cat': 'cat', 'dog': 'dog', 'dog.': 'dog'}
    """
    first: dict[str, str] = {}
    return {name: first.setdefault(same_key(label_of(name)), label_of(name)) for name in sorted(set(names))}


def told(labels: Mapping[str, str]) -> list[Finding]:
    """What a person should know of :func:`joined`: names taken for one, and labels that look alike and are not."""
    same: dict[str, list[str]] = {}
    for name, label in labels.items():
        same.setdefault(label, []).append(name)
    found = []
    for label, names in same.items():
        if len(names) > 1:
            text = f"class names that look the same are taken for one class {label!r}: {', '.join(map(ascii, names))}"
            found.append(finding("class-names-joined", text, label=label, names=tuple(names)))
    alike: dict[str, list[str]] = {}
    for label in sorted(same):
        alike.setdefault(likeness(label), []).append(label)
    for group in alike.values():
        if len(group) > 1:
            text = (
                "class names look nearly the same and stay classes of their own: "
                f"{', '.join(map(repr, group))}; where they are one class, give them one name"
            )
            found.append(finding("class-names-alike", text, labels=tuple(group)))
    return found
