"""Keep the last search for near-duplicates of each set of images: among a million images it takes a minute or more."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facevalue.data.near_duplicates import EXACT, VERSION, Clusters, clusters
from facevalue.errors import FaceValueError
from facevalue.support import files


def clusters_of(hashes: NDArray[np.uint64], near: int, source: str) -> Clusters:
    """As :func:`facevalue.data.near_duplicates.clusters`, from the cache if the same hashes were searched last time.

    Each source has its own cache file, which holds only its last search. A file that is missing or damaged is ignored.

    Parameters
    ----------
    hashes : (n, 4) uint64. Up to :data:`~facevalue.data.near_duplicates.EXACT` of them are searched at once.
    near : the radius, in bits.
    source : the name of the set.
    """
    if len(hashes) <= EXACT:
        return clusters(hashes, near)
    digest = hashlib.sha256(f"{VERSION} {near} {hashes.shape}\n".encode())
    digest.update(np.ascontiguousarray(hashes).data)
    asked = digest.hexdigest()
    try:
        name = hashlib.sha256(os.fsencode(Path.cwd() / source)).hexdigest()
    except (OSError, ValueError):  # the working folder is gone, or the name cannot be written
        return clusters(hashes, near)
    path = files.cache_folder() / "scans" / f"{name[:32]}.npz"
    found = _read(path, asked, len(hashes))
    if found is None:
        found = clusters(hashes, near)
        _write(path, asked, found)
    return found


def _read(path: Path, asked: str, n: int) -> Clusters | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            if str(kept["asked"]) != asked:
                return None
            labels, chains = (np.arange(n) - kept[name] for name in ("labels", "chains"))
            return Clusters(labels, chains, int(kept["compared"]), bool(kept["complete"]))
    except Exception:  # a damaged file can raise anything
        return None


def _write(path: Path, asked: str, found: Clusters) -> None:
    # Most images are the first of their cluster, so these are nearly all zeros.
    back = {name: np.arange(len(found.labels)) - getattr(found, name) for name in ("labels", "chains")}
    with suppress(OSError, FaceValueError), files.replacing_file(path) as partial:
        np.savez_compressed(partial, asked=asked, compared=found.compared, complete=found.complete, **back)
