"""Images that a model must refuse: drawn ones, and those in folders of the user, in sets by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.drawn_images import KINDS, drawn
from facevalue.data.groups import with_groups
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

TEST_SHARE = 0.3
"""Share of the images of a folder that scores are tested on."""

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
        """The images to ``fit`` scores with, or to ``test`` them on. Near-duplicates are in one part."""
        if self.images is None:
            return None
        groups = self.images.rows["group"].astype(str)
        tested = groups.map(_draw) < TEST_SHARE
        chosen = np.flatnonzero((tested == (part == "test")).to_numpy())
        return self.images.take(chosen) if len(chosen) else None


def _draw(group: str) -> float:
    """A number in [0, 1) that depends on the name of the group only."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32


def drawn_strangers(part: str, preprocessing: Preprocessing) -> ImageDataset:
    """Drawn images, the same on every call, to ``fit`` scores with or to ``test`` them on; labels are their kinds."""
    first, n = (0, FIT) if part == "fit" else (FIT, TEST)
    images = [image for kind in KINDS for image in drawn(kind, n, first)]
    classes = [f"{DRAWN} {kind}" for kind in KINDS]
    labels = np.repeat(np.arange(len(KINDS)), n)
    return ImageDataset.from_arrays(images, labels, classes=classes, name=DRAWN).with_preprocessing(preprocessing)


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
    known : the model's own images. The same files, and near-duplicates of them, are left out.

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
    new = _without_known(replace(found, table=found.readable.reset_index(drop=True)), known)
    if len(new.table) < len(found.readable):
        n = len(found.readable) - len(new.table)
        text = f"{n} stranger images were left out: the model's own data has them or near-duplicates of them"
        warnings.append(finding("strangers-known", text, n=n))
    empty = sorted(set(names) - set(new.table["label"]))
    if empty:
        raise DataError(f"{names[empty[0]]} has no image that can be a stranger: none is readable and new to the model")
    say(warnings)
    images = dataset_of(new, preprocessing, tuple(names), name="strangers")
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


def _without_known(found: Manifest, known: Manifest | None) -> Manifest:
    """The images that are not the model's own, grouped by near-duplicates."""
    mine = found.table[:0] if known is None else known.readable
    joint = pd.concat([mine.assign(key="own/" + mine["key"]), found.table.assign(key="new/" + found.table["key"])])
    groups = with_groups(Manifest(joint.reset_index(drop=True), found.source), "image").table["group"]
    own, new = groups[: len(mine)], groups[len(mine) :].to_numpy()
    same = pd.Series(new).isin(set(own)).to_numpy() | found.table["sha256"].isin(mine["sha256"]).to_numpy()
    return replace(found, table=found.table.assign(group=new)[~same].reset_index(drop=True))
