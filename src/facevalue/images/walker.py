"""Find the image files in a folder, in the same way for all commands.

A file is an image if its first bytes or its suffix say so. So a ``.jpg`` file that is not an image is listed too, and
its reader reports it as unreadable. Every skipped file is reported with the reason.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevalue.images.signatures import HEAD, foreign_format, image_format
from facevalue.support.files import as_text

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .tif .tiff .gif .heic .heif .hif .avif .mpo .ppm .pgm .pbm"
    " .pnm".split()
)
"""Suffixes of image files."""

MODEL_CARD = "card.json"
"""The file that makes a folder a model folder."""

# Folders that operating systems, file synchronisation and network storage create; compared without case.
_LEFTOVERS = frozenset(
    """
    @eadir @recycle @recently-snapshot @snapshot @sharesnap @tmp @transcode @sharebin @__thumb @upload_session
    #recycle #snapshot #trash ~snapshot recycle.bin $recycle.bin $extend $winreagent recycler recycled
    lost+found __macosx __pycache__ node_modules thevolumesettingsfolder _gsdata_ _vti_cnf _vti_pvt
    """.split()
) | {"system volume information", "network trash folder", "temporary items"}
_LEFTOVER = re.compile(r"found\.\d{3}|[@#~$].*(recycle|snapshot|thumb|trash).*", re.IGNORECASE)
_LEFTOVER_FILE = re.compile(
    r"synophoto_.*|synofile_thumb.*|.*@syno(eastream|resource)|(eh)?thumbs.*\.db(:.*)?|desktop\.ini|icon\r|~\$.*"
    r"|.*\.(part|partial|crdownload|download)",
    re.IGNORECASE,
)
_KINDS = ((stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))
_MOST_COUNTED = 10_000
_COUNTED = re.compile(r"\(([\d,]+) files?")

HIDDEN = "is hidden"
LEFTOVER = "is a system file or folder"
NOT_AN_IMAGE = "is not an image"


@dataclass
class PassedOver:
    """Files and folders that a walk skipped, in the order of the walk.

    Attributes
    ----------
    found : path and reason of each; a folder stands for all its content.
    """

    found: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, path: Path, reason: str) -> None:
        """One more file or folder."""
        self.found.append((path, reason))

    def to_list(self) -> list[dict[str, str]]:
        """For JSON."""
        return [{"path": as_text(str(path)), "reason": reason} for path, reason in self.found]

    def line(self) -> str | None:
        """Number of skipped files and folders and the reasons, in one line; ``None`` if there are none."""
        return summary(self.to_list())


def summary(ignored: Sequence[dict[str, str]]) -> str | None:
    """Number of skipped files and folders and the reasons, in one line; ``None`` if there are none.

    >>> summary([{"path": "a/x.txt", "reason": "is not an image"}, {"path": "a/.git", "reason": "is hidden (3 files)"}])
    "skipped 2 (1 of them a folder, with 3 files): 1 is not an image, e.g. 'a/x.txt'; 1 is hidden, e.g. 'a/.git'"
    """
    if not ignored:
        return None
    counts = [int(n.replace(",", "")) for one in ignored for n in _COUNTED.findall(one["reason"])]
    inside = f" ({len(counts)} of them {'folders' if len(counts) > 1 else 'a folder'}, with {sum(counts):,} files)"
    kinds = Counter(one["reason"].partition(" (")[0] for one in ignored)
    first = {one["reason"].partition(" (")[0]: one["path"] for one in reversed(ignored)}
    frequent = kinds.most_common(4)
    reasons = [f"{n} {kind}, e.g. {first[kind]!r}" for kind, n in frequent]
    rest = len(ignored) - sum(n for _, n in frequent)
    more = f"; and {rest} more" if rest else ""
    return f"skipped {len(ignored)}{inside if counts else ''}: {'; '.join(reasons)}{more}"


def is_hidden(name: str) -> bool:
    """Whether a name is hidden: it starts with exactly one dot.

    >>> is_hidden(".git"), is_hidden("..dots"), is_hidden("...")
    (True, False, False)
    """
    return name.startswith(".") and not name.startswith("..")


def is_leftover(name: str) -> bool:
    """Whether a folder of this name is made by a system or network storage and holds no user's images.

    >>> is_leftover("@eaDir"), is_leftover("$RECYCLE.BIN"), is_leftover("cats")
    (True, True, False)
    """
    return name.casefold() in _LEFTOVERS or _LEFTOVER.fullmatch(name) is not None


class Walker:
    """A walk through one folder. Links are followed, except to a folder that is read anyway.

    Parameters
    ----------
    root : the folder. It is walked even if its name is that of a hidden or system folder.
    passed_over : called with each skipped file or folder and the reason.
    unlistable : called with a folder that cannot be listed, and the error. By default such a folder is yielded in place
        of its images, so that its reader reports the reason.

    Attributes
    ----------
    entered : the folders that were walked so far.
    """

    def __init__(
        self,
        root: Path,
        passed_over: Callable[[Path, str], None],
        unlistable: Callable[[Path, OSError], None] | None = None,
    ) -> None:
        self.root = root
        self.entered: list[Path] = []
        self._passed_over = passed_over
        self._unlistable = unlistable
        self._real = root.resolve()
        self._seen: set[Path] = {self._real}

    def images(self) -> Iterator[Path]:
        """The image files at any depth, each folder's entries sorted by name.

        Only the names of the current folders are in memory, so millions of files need little.
        """
        return self._below(self.root, linked=False)

    def _below(self, folder: Path, linked: bool) -> Iterator[Path]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if self._unlistable is None:
                yield folder
            else:
                self._unlistable(folder, error)
            return
        for entry in entries:
            path = folder / entry.name
            kind = _kind(entry)
            if kind == "folder":
                by_link = linked or entry.is_symlink()
                reason = self._why_not_entered(path, by_link)
                if reason is None:
                    self.entered.append(path)
                    yield from self._below(path, by_link)
            else:
                reason = _why_no_image(path, kind)
                if reason is None:
                    yield path
            if reason is not None:
                self._passed_over(path, reason)

    def _why_not_entered(self, path: Path, by_link: bool) -> str | None:
        if is_hidden(path.name):
            return f"{HIDDEN} ({_count(path)})"
        if is_leftover(path.name):
            return f"{LEFTOVER} ({_count(path)})"
        # A model folder may lie among the images it was made from; the images of its report are no class.
        if os.access(path / MODEL_CARD, os.F_OK):
            return "is a model folder"
        if not by_link:
            return None
        real = path.resolve()
        if real in self._seen or self._real.is_relative_to(real) or self._is_read_anyway(real):
            return "is a link to a folder that is already read"
        self._seen.add(real)
        return None

    def _is_read_anyway(self, real: Path) -> bool:
        if not real.is_relative_to(self._real):
            return False
        parts = real.relative_to(self._real).parts
        return not any(is_hidden(part) or is_leftover(part) for part in parts)


def _kind(entry: os.DirEntry[str]) -> str:
    """``folder``, ``file``, or why the entry is neither."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return "is a link to a missing target"
    except OSError as error:
        return f"cannot be reached: {os.strerror(error.errno or 0)}"
    return next((f"is a {name}" for is_it, name in _KINDS if is_it(mode)), "is not a file")


def _why_no_image(path: Path, kind: str) -> str | None:
    """Why an entry that is not a folder is skipped; ``None`` if it is taken as an image."""
    if is_hidden(path.name):
        return HIDDEN
    if _LEFTOVER_FILE.fullmatch(path.name):
        return LEFTOVER
    if path.suffix.lower() in SUFFIXES:
        return None  # its reader reports what is wrong with it
    if kind != "file":
        return kind
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        return f"cannot be read: {os.strerror(error.errno or 0)}"
    if not head:
        return "is empty"
    if image_format(head) is not None:
        return None
    foreign = foreign_format(head)
    return NOT_AN_IMAGE if foreign is None else f"is a file of the type {foreign}, which is not supported"


def _count(folder: Path) -> str:
    n = 0
    for _, _, names in os.walk(folder):
        n += len(names)
        if n >= _MOST_COUNTED:
            return f"{_MOST_COUNTED:,} files or more"
    return f"{n} file" + "s" * (n != 1)
