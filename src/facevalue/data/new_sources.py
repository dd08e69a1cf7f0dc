"""Images of new sources, given as ``class/source`` and a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, finding, say
from facevalue.images.walker import PassedOver, Walker

FEWEST = 5
"""Fewest images of a new source: fewer cannot be cross-validated in five folds."""


@dataclass(frozen=True, eq=False)
class NewSources:
    """The images of new sources.

    Attributes
    ----------
    manifest : with their class and source.
    known : images that were left out because the model's own data has them.
    twice : copies that were left out, because the same file is there once more.
    """

    manifest: Manifest
    known: int
    twice: int

    def left_out(self, without_face: int) -> Iterator[Finding]:
        """What was left out, if anything was; ``without_face`` images show no face, of which the model needs one."""
        unreadable = len(self.manifest.unreadable)
        counts = {
            "in the model's own data": self.known,
            "the same file as another": self.twice,
            "unreadable": unreadable,
            "without a face": without_face,
        }
        if n := sum(counts.values()):
            each = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            text = f"{n} image{'s' * (n != 1)} of the new sources left out: {each}"
            yield finding(
                "new-images-left-out",
                text,
                known=self.known,
                twice=self.twice,
                unreadable=unreadable,
                no_face=without_face,
            )


def new_sources(
    add: Mapping[str, Path | str], classes: Sequence[str], sources: Sequence[str], known: Manifest
) -> NewSources:
    """The images of new sources, each once, without those that the model has.

    Parameters
    ----------
    add : folder by ``class/source``.
    classes, sources : of the model; the latter as ``class/source``.
    known : the model's own images.

    Raises
    ------
    UsageError
        A name is not ``class/source``, its class is not one of the model's, the model has this source already, or a
        folder is missing, given twice or inside another one.
    DataError
        The same image is in two folders, or a folder has fewer than :data:`FEWEST` readable images that are new to the
        model.
    """
    _expect_names(add, classes, sources)
    _expect_folders(add)
    rows = []
    for name, folder in add.items():
        label, _, source = name.partition("/")
        ignored = PassedOver()
        rows += [(str(path), label, source) for path in sorted(Walker(Path(folder), ignored.add).images())]
        line = ignored.line()
        if line is not None:
            say([finding("files-passed-over", line, n=len(ignored.found))])
    if not rows:
        raise DataError("there is no image in the folders of `add`")
    found = scan(pd.DataFrame(rows, columns=["path", "label", "source"]))
    found = replace(found, source="; ".join(str(folder) for folder in add.values()))
    _expect_one_source(found.readable)
    readable = found.table["error"] == ""
    mine = readable & found.table["sha256"].isin(known.readable["sha256"])
    twice = readable & ~mine & found.table["sha256"].duplicated()
    new = replace(found, table=found.table[~mine & ~twice].reset_index(drop=True))
    counts = (new.readable["label"] + "/" + new.readable["source"]).value_counts()
    for name in add:
        if (n := int(counts.get(name, 0))) < FEWEST:
            raise DataError(
                f"`add` {name}: {n} different readable images are new to the model, but at least {FEWEST} are needed"
            )
    return NewSources(new, int(mine.sum()), int(twice.sum()))


def _expect_names(add: Mapping[str, Path | str], classes: Sequence[str], sources: Sequence[str]) -> None:
    if not add:
        raise UsageError("`add` names no source; give a folder for each, such as real/camera-x=FOLDER")
    for name in add:
        label, _, source = name.partition("/")
        if _blank(label) or _blank(source):
            raise UsageError(f"Expected `add` to name class and source, such as real/camera-x, but got {name!r}")
        if source != source.strip():
            raise UsageError(f"`add` {name!r}: the name of the source begins or ends with a space")
        if label not in classes:
            raise UsageError(f"`add` {name}: the model has no class {label!r}; it has {', '.join(classes)}")
        if name in sources:
            raise UsageError(f"`add` {name}: the model has this source already; choose another name")


def _blank(name: str) -> bool:
    """Whether a name has nothing to see: spaces and invisible characters alone."""
    return not any(c.isprintable() and not c.isspace() for c in name)


def _expect_folders(add: Mapping[str, Path | str]) -> None:
    whole: dict[str, Path] = {}
    for name, folder in add.items():
        if not Path(folder).is_dir():
            raise UsageError(f"`add` {name}: {folder} is not a folder")
        own = Path(folder).resolve()
        for other, there in whole.items():
            if own == there:
                raise UsageError(
                    f"`add` {name}: {folder} is given for {other} too; each source has a folder of its own"
                )
            if own.is_relative_to(there) or there.is_relative_to(own):
                raise UsageError(
                    f"`add` {name}: of the folders of {name} and {other} one is inside the other, so images would be "
                    "of both sources"
                )
        whole[name] = own


def _expect_one_source(images: pd.DataFrame) -> None:
    """Raise ``DataError`` if the same image is of two sources."""
    names = images["label"] + "/" + images["source"]
    several = names.groupby(images["sha256"]).nunique() > 1
    both = images["sha256"].map(several)
    if both.any():
        first = images["sha256"][both].iloc[0]
        one, other = sorted(set(names[images["sha256"] == first]))[:2]
        n = int(several.sum())
        raise DataError(
            f"`add`: {n} image{'s' * (n != 1)} in the folders of two sources, such as "
            f"{images['path'][both].iloc[0]} of {one} and {other}; remove one copy"
        )
