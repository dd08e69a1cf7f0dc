"""What is known of a public set: where it lies, what it may be used for, and how to tell that it arrived whole."""

from __future__ import annotations

from dataclasses import dataclass

KAGGLE = "https://www.kaggle.com/datasets/"


@dataclass(frozen=True)
class Archive:
    """One archive of a set.

    Attributes
    ----------
    url : its address; of a set of Kaggle's, the address of its page.
    name : what the file is called, here and on a mirror.
    bytes, sha256 : as published by ``checked_by``; ``None`` where nobody has, then the first download is trusted and
        its SHA-256 kept in the receipt.
    unpacked : most bytes it may unpack to; an archive that wants more is refused.
    inner : an archive inside the archive that holds the images, or "".
    within : the folder in the archive that holds the classes, or "".
    to : the folder of the set that this one becomes, or "".
    checked_by : who published size and SHA-256.
    """

    url: str
    name: str
    bytes: int | None
    sha256: str | None
    unpacked: int
    inner: str = ""
    within: str = ""
    to: str = ""
    checked_by: str = ""

    @property
    def kaggle(self) -> str:
        """What Kaggle calls the set, ``owner/name``; "" where the archive lies elsewhere."""
        return self.url.removeprefix(KAGGLE) if self.url.startswith(KAGGLE) else ""


@dataclass(frozen=True)
class KnownSet:
    """A public set of images that :command:`facevalue data get` fetches.

    Attributes
    ----------
    name : what the user types.
    title : what it is, in a line.
    archives : that make it up.
    licence : in the words of its makers, shortened.
    home : page to read before use.
    images : how many, as its makers say.
    """

    name: str
    title: str
    archives: tuple[Archive, ...]
    licence: str
    home: str
    images: int
