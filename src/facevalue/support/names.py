"""File names that are valid on every system.

Windows forbids some characters and names; Windows and macOS do not distinguish upper and lower case.
"""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL)


def fault(name: str) -> str:
    """Why a file or folder name is not valid on some system; empty if it is valid on every system.

    >>> fault("who?"), fault("nul.tar"), fault("end."), fault("Ann Smith")
    ("holds '?'", 'is a device on Windows', 'ends in a dot or space', '')
    """
    if not name or name in (".", ".."):
        return "is not a name"
    found = _FORBIDDEN.search(name)
    if found:
        return f"holds {found[0]!r}"
    if name[-1] in ". ":
        return "ends in a dot or space"
    return "is a device on Windows" if _RESERVED.fullmatch(name) else ""


def portable(name: str, longest: int = 120) -> str:
    """``name`` made valid on every system: ``_`` replaces forbidden characters, at most ``longest`` bytes stay.

    Two names may become the same: see :func:`folded`.

    >>> portable("who?"), portable("nul.tar"), portable("end."), portable("Ann Smith")
    ('who_', '_nul.tar', 'end_', 'Ann Smith')
    """
    plain = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode())
    while len(plain.encode()) > longest:
        plain = plain[:-1]
    if not plain or plain[-1] in ". ":
        plain = f"{plain[:-1]}_"
    return f"_{plain[: -1 if len(plain.encode()) >= longest else None]}" if _RESERVED.fullmatch(plain) else plain


def folded(name: str) -> str:
    """Equal for two names that some system takes for the same: other case, other Unicode composition.

    >>> folded("CAFE\\u0301") == folded("caf\\u00e9")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
