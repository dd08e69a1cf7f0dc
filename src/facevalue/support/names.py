"""File names that every system can hold.

Windows forbids some characters and names; Windows and macOS do not tell upper case from lower.
"""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL)


def fault(name: str) -> str:
    """Why some system cannot hold a file or folder of this name; empty where every one can.

    >>> fault("who?"), fault("nul.tar"), fault("end."), fault("Ann Smith")
    ("holds '?'", 'is a device on Windows', 'ends in a dot or space', '')
    """
    if not name or name in (".", ".."):
        return "is no name"
    found = _FORBIDDEN.search(name)
    if found:
        return f"holds {found[0]!r}"
    if name[-1] in ". ":
        return "ends in a dot or space"
    return "is a device on Windows" if _RESERVED.fullmatch(name) else ""


def portable(name: str, longest: int = 120) -> str:
    """``name`` as every system can hold it: ``_`` for what one forbids, and at most ``longest`` bytes.

    Two names may become one: see :func:`folded`.

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
    """The same for two names that some system does not tell apart: upper and lower case, composed and decomposed.

    >>> folded("CAFE\\u0301") == folded("caf\\u00e9")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
