"""Images that a model must refuse: drawn ones, and those in folders of the user, in sets by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data import same_look
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.drawn_images import KINDS, drawn
from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, finding, say
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.walker import PassedOver, Walker

DRAWN = "drawn"
"""Name of the built-in set, and prefix of its kinds."""

FIT, TEST = 20, 6
"""Drawn images of each kind that scores are fitted with, and further ones that they are tested on."""

DRAWN_TO_FIT = FIT * len(KINDS)
"""Number of drawn images that scores are fitted with."""

TEST_SHARE = 0.3
"""Share of the images of a folder that scores are tested on."""

_HELD_BYTES = 2**26  # of the network inputs of one part of the drawn images

MOST = 1000
"""Most images that are used of one folder."""


@dataclass(frozen=True)
class StrangerFolders:
    """The images of folders that the user gave.

    Attributes
    ----------
    images : labels are the sets; ``None`` if no folder was given.
    warnings : about images that were left out.
    """

    images: ImageDataset | None
    warnings: tuple[Finding, ...] = ()

    def split(self, part: str) -> ImageDataset | None:
        """The images to ``fit`` scores with, or to ``test`` them on. Images that look the same are in one part."""
        if self.images is None:
            return None
        chosen = np.flatnonzero(_tested(self.images) == (part == "test"))
        return self.images.take(chosen) if len(chosen) else None


def _tested(images: ImageDataset) -> NDArray[np.bool_]:
    """(n,) whether an image is to test on: whole groups, at most :data:`TEST_SHARE` of each set."""
    found = np.zeros(len(images), bool)
    groups = images.rows["group"].to_numpy(str)
    for label in range(len(images.classes)):
        of_set = images.labels == label
        left = round(TEST_SHARE * int(of_set.sum()))
        for group in sorted(set(groups[of_set]), key=_draw):
            members = of_set & (groups == group)
            if members.sum() <= left:
                found |= members
                left -= int(members.sum())
    return found


def _draw(name: str) -> str:
    """A key that sorts names in an order that depends on nothing else."""
    return hashlib.sha256(name.encode()).hexdigest()


@lru_cache(maxsize=4)
def drawn_strangers(part: str, preprocessing: Preprocessing) -> ImageDataset:
    """Drawn images, the same on every call, to ``fit`` scores with or to ``test`` them on; labels are their kinds.

    They are drawn once in a process, and their network inputs are kept if they are small.
    """
    first, n = (0, FIT) if part == "fit" else (FIT, TEST)
    images = [image for kind in KINDS for image in drawn(kind, n, first)]
    classes = [f"{DRAWN} {kind}" for kind in KINDS]
    labels = np.repeat(np.arange(len(KINDS)), n)
    drawings = ImageDataset.from_arrays(images, labels, classes=classes, name=DRAWN)
    return drawings.with_preprocessing(preprocessing).held(room=_HELD_BYTES)


@lru_cache(maxsize=4)
def drawn_set(preprocessing: Preprocessing) -> ImageDataset:
    """The drawn images to test on, as one set called :data:`DRAWN`; the same on every call."""
    images = drawn_strangers("test", preprocessing).images
    drawings = ImageDataset.from_arrays(images, [DRAWN] * len(images), name=DRAWN)
    return drawings.with_preprocessing(preprocessing).held(room=_HELD_BYTES)


def folders_of(given: Path | str | Sequence[Path | str]) -> tuple[Path | str, ...]:
    """One folder or several as a tuple."""
    return (given,) if isinstance(given, Path | str) else tuple(given)


def together(parts: Sequence[ImageDataset], name: str) -> ImageDataset:
    """Datasets of different sets as one, whose labels are all sets that have images."""
    labels = [part.classes[label] for part in parts for label in part.labels]
    classes = tuple(dict.fromkeys(labels))
    same = [replace(part, classes=classes, labels=part.labels[:0]) for part in parts]
    joined = same[0].joined(*same[1:], name=name)
    return replace(joined, labels=np.array([classes.index(label) for label in labels], np.int64))


def read_strangers(
    folders: Sequence[Path | str], preprocessing: Preprocessing, known: Manifest | None = None
) -> StrangerFolders:
    """The images of folders, at any depth; each folder is one set with its name.

    Parameters
    ----------
    known : the model's own images. The same files, and copies that look the same, are left out.

    Raises
    ------
    UsageError
        A folder does not exist, or is given twice.
    DataError
        It has no readable image, or only images that the model's own data has.
    """
    if not folders:
        return StrangerFolders(None)
    names = _names([Path(folder) for folder in folders])
    found = scan(pd.DataFrame(_listed(names), columns=["path", "label"]))
    found = replace(found, source="; ".join(map(str, names.values())))
    warnings: list[Finding] = []
    if found.unreadable:
        first, n = found.unreadable[0], len(found.unreadable)
        text = f"{n} stranger image{'s' * (n != 1)} left out, such as {first['path']}, which {first['reason']}"
        warnings.append(finding("strangers-unreadable", text, n=n))
    images = dataset_of(found, preprocessing, tuple(names), name="strangers")
    copies = same_look.small_copies(images)
    looks = pd.Series(same_look.groups(copies))
    # Named by content, so that a further image changes the parts of others as little as possible.
    images = replace(images, rows=images.rows.assign(group=images.rows["sha256"].groupby(looks).transform("min")))
    mine = np.zeros(len(images), bool)
    if known is not None and not known.readable.empty:
        own = dataset_of(known, preprocessing, known.classes)
        mine = images.rows["sha256"].isin(own.rows["sha256"]).to_numpy() | same_look.known_among(images, copies, own)
    if mine.any():
        n = int(mine.sum())
        text = f"{n} stranger image{'s' * (n != 1)} left out, because the model's own data has the same or a copy"
        warnings.append(finding("strangers-known", text, n=n))
        images = images.take(~mine)
    empty = [name for i, name in enumerate(names) if not (images.labels == i).any()]
    if empty:
        raise DataError(f"{names[empty[0]]} has no image that can be a stranger: none is readable and new to the model")
    say(warnings)
    return StrangerFolders(images, tuple(warnings))


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by the names of their sets: the folder's own, with its parent's where two are equal."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"`strangers` {folder}: there is no such folder")
    whole = [folder.resolve() for folder in folders]
    twice = next((given for given, path in zip(folders, whole, strict=True) if whole.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"`strangers` {twice} is given twice")
    own = [path.name for path in whole]
    long = [f"{path.parent.name}/{path.name}" for path in whole]
    names = [name if own.count(name) == 1 else longer for name, longer in zip(own, long, strict=True)]
    if len(set(names)) < len(names):
        raise UsageError(f"two of the `strangers` are called {max(names, key=names.count)}; rename one")
    return dict(zip(names, folders, strict=True))


def _listed(names: dict[str, Path]) -> list[tuple[str, str]]:
    """Path and set of every image; of a large folder the same :data:`MOST` images each time."""
    rows = []
    for name, folder in names.items():
        ignored = PassedOver()
        images = sorted(Walker(folder, ignored.add).images())
        if not images:
            raise DataError(f"`strangers` {folder} holds no image")
        line = ignored.line()
        if line is not None:
            say([finding("files-passed-over", line, n=len(ignored.found))])
        if len(images) > MOST:
            text = f"{MOST} of the {len(images)} images in {folder} are used as strangers"
            say([finding("strangers-thinned", text, n=len(images), used=MOST)])
            images = sorted(images, key=lambda path: _draw(path.relative_to(folder).as_posix()))[:MOST]
        rows += [(str(path), name) for path in images]
    return rows
