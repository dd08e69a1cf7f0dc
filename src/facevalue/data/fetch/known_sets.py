"""Download a public dataset into a folder that ``train`` accepts."""

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
from facevalue.support.output_folder import free_folder, resumable

RECEIPT = "received.json"
MIRROR = "FACEVALUE_MIRROR"
_LOCK = ".lock"


@dataclass(frozen=True)
class Fetched(ShownInNotebooks):
    """A downloaded dataset: its folder, its receipt, and whether it was there already."""

    folder: Path
    receipt: Mapping[str, Any]
    was_there: bool

    def to_dict(self) -> dict[str, Any]:
        """What ``data get --json`` writes."""
        return {"path": str(self.folder), "was_there": self.was_there, **self.receipt}


def fetch(
    known: KnownSet, folder: Path, mirror: str = "", overwrite: bool = False, patience: Patience | None = None
) -> Fetched:
    """Download a dataset to ``folder`` and write a receipt; does nothing if a receipt shows that it is there.

    Archives are downloaded to ``folder`` + ``.download``, which stays until the dataset is complete, so that a later
    run can resume.

    Parameters
    ----------
    known : the dataset's record.
    folder : replaced as a whole, or not at all.
    mirror : another place for the archives, by their names: the beginning of an address, or a folder. By default
        ``$FACEVALUE_MIRROR``, else each archive's own address (for Kaggle, the one that kagglehub gives).
    overwrite : download again even if it is there.

    Raises
    ------
    UsageError
        ``folder`` holds something else, or the mirror is neither an address nor a folder.
    FaceValueError
        An archive cannot be downloaded, has unexpected content, or was refused.
    """
    earlier = _receipt(folder)
    if earlier.get("name") == known.name and not overwrite:
        return Fetched(folder, earlier, was_there=True)
    free_folder(folder, RECEIPT, "a downloaded dataset", overwrite)
    mirror = mirror or os.environ.get(MIRROR, "")
    # An archive that was trusted once must have the same content the next time.
    trusted = {a["name"]: a["sha256"] for a in earlier.get("archives", []) if earlier.get("name") == known.name}
    waiting = folder.resolve().with_name(folder.resolve().name + ".download")
    received = []
    with resumable(waiting), _locked(waiting):
        with files.replacing_folder(folder) as partial:
            for archive in known.archives:
                path, source, sha256 = _archive_file(
                    archive, known.home, mirror, waiting, trusted.get(archive.name), patience
                )
                _unpack(path, archive, partial)
                facts = {"name": archive.name, "from": source, "bytes": path.stat().st_size, "sha256": sha256}
                received.append(facts | {"checked_by": archive.checked_by or "nobody: the first download was trusted"})
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
def _locked(waiting: Path) -> Iterator[None]:
    """Lock ``waiting``: two runs that append to one unfinished file would corrupt it."""
    waiting.mkdir(parents=True, exist_ok=True)
    try:
        with locks.alone(waiting / _LOCK) as ours:
            if not ours:
                raise FaceValueError(f"another run is downloading to {waiting}; wait until it is done")
            yield
    finally:
        with suppress(OSError):  # it stays if it holds a download
            waiting.rmdir()


def _receipt(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _archive_file(
    archive: Archive, home: str, mirror: str, waiting: Path, trusted: str | None, patience: Patience | None
) -> tuple[Path, str, str]:
    """The archive as a checked file, where it came from, and its SHA-256."""
    sha256 = archive.sha256 or trusted
    if mirror and not mirror.startswith(("http://", "https://")):
        path = Path(mirror) / archive.name
        if not path.is_file():
            raise UsageError(f"{path} does not exist; give an address, or a folder that holds {archive.name}")
        found = files.sha256(path)
        if sha256 is not None and found != sha256:
            raise FaceValueError(f"{path} has unexpected content: expected sha256 {sha256}, but got {found}")
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
                    source = wanted.display_name
                found = download(wanted, path, patience)
            except FaceValueError as error:
                by_hand = f"or download {archive.name} yourself (see {home}) and give its folder as `source`"
                kind = UsageError if isinstance(error, UsageError) else FaceValueError
                raise kind(f"{error}; {by_hand}") from error
    if archive.sha256 is None and trusted is None:
        text = f"{archive.name} has no published checksum; the downloaded file has sha256 {found}"
        say([finding("unpublished-checksum", text, file=archive.name, sha256=found)])
    return path, source, found


def _unpack(path: Path, archive: Archive, partial: Path) -> None:
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
