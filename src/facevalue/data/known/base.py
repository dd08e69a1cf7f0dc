"""Facts about a public dataset or file: where to download it, its licence, and how to verify the download."""

from __future__ import annotations

from dataclasses import dataclass

KAGGLE = "https://www.kaggle.com/datasets/"


@dataclass(frozen=True)
class Archive:
    """One archive of a dataset.

    Attributes
    ----------
    url : its address; for a Kaggle dataset, the address of its page.
    name : file name, also on a mirror.
    bytes, sha256 : as published by ``checked_by``. ``None`` if nobody has published them: the first download is trusted
        and its SHA-256 is kept in the receipt.
    unpacked : most bytes it may unpack to; a larger archive is refused.
    inner : an archive inside the archive that holds the images, or "".
    within : the folder in the archive that holds the classes, or "".
    to : the folder of the dataset that the images are written to, or "".
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
        """Kaggle's name of the dataset, ``owner/name``; "" if the archive is not on Kaggle."""
        return self.url.removeprefix(KAGGLE) if self.url.startswith(KAGGLE) else ""


@dataclass(frozen=True)
class KnownSet:
    """A public dataset that :command:`facevalue data get` downloads.

    Attributes
    ----------
    name : as the user types it.
    title : one-line description.
    archives : the files to download.
    licence : as its authors state it, shortened.
    home : page to read before use.
    images : their number, as its authors state it.
    """

    name: str
    title: str
    archives: tuple[Archive, ...]
    licence: str
    home: str
    images: int


@dataclass(frozen=True)
class KnownFile:
    """A single file, no dataset, that :command:`facevalue data get` downloads.

    Attributes
    ----------
    name, title, licence, home : as of :class:`KnownSet`.
    url : its address.
    file : its name, also on a mirror.
    bytes, sha256 : as its authors publish them.
    """

    name: str
    title: str
    url: str
    file: str
    bytes: int
    sha256: str
    licence: str
    home: str
