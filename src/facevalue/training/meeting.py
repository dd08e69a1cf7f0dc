"""How processes of one start find each other, although the store still knows those of an earlier start.

``torchrun`` starts all processes again when one ends, and keeps its store. A process that comes before the others would
find the address of one that is gone there, and gloo gives up (PyTorch 2.13). A number of restarts cannot tell starts
apart: the machines of one training count them differently.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # torch lists no exports

_PAUSE = 0.02  # seconds between two looks at the store


def token_of_this_start(store: Store, rank: int, count: int, patience: timedelta) -> str:
    """A name that all processes of this start have in common, and no process of an earlier one.

    Every process but the first writes a new secret of its own and waits for the answer to that secret. The first
    answers what it finds, also what is old, until all have confirmed: nobody reads the answer to an old secret.

    Parameters
    ----------
    store : shared by all processes; what is in it may be of earlier starts.
    rank, count : of this process, and the number of all.
    patience : how long the others are waited for.

    Raises
    ------
    TimeoutError
        They did not come.
    """
    own = secrets.token_hex(16)
    if rank > 0:
        store.set(f"facevalue/secret/{rank}", own)
        answer = f"facevalue/answer/{own}"
        _wait(store, answer, patience)
        token = str(store.get(answer), "ascii")
        store.set(f"facevalue/came/{token}/{rank}", "yes")
        return token
    answered: set[str] = set()
    missing = set(range(1, count))
    end = time.monotonic() + patience.total_seconds()
    while missing:
        if time.monotonic() > end:
            raise TimeoutError(f"{len(missing)} of {count} processes did not come")
        for other in sorted(missing):
            key = f"facevalue/secret/{other}"
            if store.check([key]) and (secret := str(store.get(key), "ascii")) not in answered:
                store.set(f"facevalue/answer/{secret}", own)
                answered.add(secret)
        missing = {other for other in missing if not store.check([f"facevalue/came/{own}/{other}"])}
        time.sleep(_PAUSE)
    return own


def _wait(store: Store, key: str, patience: timedelta) -> None:
    end = time.monotonic() + patience.total_seconds()
    while not store.check([key]):
        if time.monotonic() > end:
            raise TimeoutError("the first process did not come")
        time.sleep(_PAUSE)
