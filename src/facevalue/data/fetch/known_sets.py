"""A known public set as a folder that ``train`` takes: fetched, checked, unpacked beside, renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facevalue.data.fetch.download import Patience, Source, download
from facevalue.data.fetch.kaggle import source_at_kaggle
from facevalue.data.fetch.unpack import unpack
from facevalue.data.known import Archive, KnownSet
from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.findings import finding, say
from facevalue.images.walker import PassedOver, Walker
from facevalue.support import files, locks
from facevalue.support.html import ShownInNotebooks
from facevalue.support.output_folder import free_folder

RECEIPT = "received.json"
MIRROR = "FACEVALUE_MIRROR"
_LOCK = ".lock"


@dataclass(frozen=True)
class Fetched(ShownInNotebooks):
    """A known set on this machine: its folder, its images, and whether it was there already."""

    folder: Path
    receipt: Mapping[str, Any]
    was_there: bool

    def to_dict(self) -> dict[str, Any]:
        """What ``data get --json`` writes."""
        return {"path": str(self.folder), "was_there": self.was_there, **self.receipt}


def fetch(
    known: KnownSet, folder: Path, mirror: str = "", overwrite: bool = False, patience: Patience | None = None
) -> Fetched:
    """Make ``folder`` hold a known set, with a receipt; does nothing where the receipt says that it is there.

    Archives arrive in ``folder`` + ``.download``, which stays until the set is whole, so that a later run goes on.

    Parameters
    ----------
    known : the set's record.
    folder : replaced whole, or not at all.
    mirror : where the archives lie instead, by their names: the beginning of an address, or a folder. By default
        ``$FACEVALUE_MIRROR``, else each archive's own address, to which kagglehub leads for Kaggle's.
    overwrite : fetch anew where it is there.

    Raises
    ------
    UsageError
        Something else stands at ``folder``, or the mirror is neither an address nor a folder.
    FaceValueError
        An archive cannot be had, is not what it should be, or was refused.
    """
    earlier = _receipt(folder)
    if earlier.get("name") == known.name and not overwrite:
        return Fetched(folder, earlier, was_there=True)
    free_folder(folder, RECEIPT, "a received set", overwrite)
    mirror = mirror or os.environ.get(MIRROR, "")
    # A name that was trusted once has to bring the same again.
    trusted = {a["name"]: a["sha256"] for a in earlier.get("archives", []) if earlier.get("name") == known.name}
    waiting = folder.resolve().with_name(folder.resolve().name + ".download")
    received = []
    with _alone(waiting):
        with files.replacing_folder(folder) as partial:
            for archive in known.archives:
                path, source, sha256 = _had(archive, known.home, mirror, waiting, trusted.get(archive.name), patience)
                _unpacked(path, archive, partial)
                facts = {"name": archive.name, "from": source, "bytes": path.stat().st_size, "sha256": sha256}
                received.append(facts | {"checked_by": archive.checked_by or "nobody: trusted when it first came"})
            n = sum(1 for _ in Walker(partial, PassedOver().add).images())
            receipt = {
                "name": known.name,
                "title": known.title,
                "n": n,
                "licence": known.licence,
                "home": known.home,
                "archives": received,
                "received": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            files.write_json(partial / RECEIPT, receipt)
        shutil.rmtree(waiting, ignore_errors=True)
    return Fetched(folder, receipt, was_there=False)


@contextmanager
def _alone(waiting: Path) -> Iterator[None]:
    """Hold ``waiting``: two runs that append to one unfinished file would spoil it for both."""
    waiting.mkdir(parents=True, exist_ok=True)
    try:
        with locks.alone(waiting / _LOCK) as ours:
            if not ours:
                raise FaceValueError(f"another run is fetching into {waiting}; wait until it is done")
            yield
    finally:
        with suppress(OSError):  # what arrived stays
            waiting.rmdir()


def _receipt(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _had(
    archive: Archive, home: str, mirror: str, waiting: Path, trusted: str | None, patience: Patience | None
) -> tuple[Path, str, str]:
    """The archive as a checked file, where it came from, and its SHA-256."""
    sha256 = archive.sha256 or trusted
    if mirror and not mirror.startswith(("http://", "https://")):
        path = Path(mirror) / archive.name
        if not path.is_file():
            raise UsageError(f"{path} is not there; give an address, or a folder that holds {archive.name}")
        found = files.sha256(path)
        if sha256 is not None and found != sha256:
            raise FaceValueError(f"{path} is not what it should be: expected sha256 {sha256}, but got {found}")
        source = str(path)
    else:
        source = f"{mirror.rstrip('/')}/{archive.name}" if mirror else archive.url
        wanted = Source(source, archive.bytes, sha256)
        path = waiting / archive.name
        found = files.sha256(path) if path.is_file() else ""
        if not found or found != (sha256 or found):
            try:
                if archive.kaggle and not mirror:
                    wanted = source_at_kaggle(archive.kaggle, wanted, patience)
                    source = wanted.shown
                found = download(wanted, path, patience)
            except FaceValueError as error:
                by_hand = f"or download {archive.name} yourself (see {home}) and give its folder as `source`"
                kind = UsageError if isinstance(error, UsageError) else FaceValueError
                raise kind(f"{error}; {by_hand}") from error
    if archive.sha256 is None and trusted is None:
        text = f"{archive.name}: nobody has published its checksum; the file that came has sha256 {found}"
        say([finding("unpublished-checksum", text, file=archive.name, sha256=found)])
    return path, source, found


def _unpacked(path: Path, archive: Archive, partial: Path) -> None:
    target = partial / archive.to
    if not archive.inner:
        unpack(path, target, archive.within, archive.unpacked)
        return
    where, _, name = archive.inner.rpartition("/")
    with tempfile.TemporaryDirectory(dir=partial, prefix=".inner-") as inner:
        unpack(path, Path(inner), where, archive.unpacked)
        if not (Path(inner) / name).is_file():
            raise FaceValueError(f"{archive.name} was refused: it does not hold {archive.inner}")
        unpack(Path(inner) / name, target, archive.within, archive.unpacked)
