"""Whether weights from the Hub are in its client's cache, and whether the Hub can be reached, within seconds.

The client itself repeats failed requests for about a minute, also where there is no network at all.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

from facevalue.errors import WeightsError

FILES = ("model.safetensors", "pytorch_model.bin")
"""The weights file of a repository has one of these names, unless its record says otherwise."""

PATIENCE = 5.0
"""Seconds to wait for an answer."""


def cached(repository: str, file: str | None = None) -> Path | None:
    """The weights file in the client's cache; ``None`` if it is not there.

    Parameters
    ----------
    repository : ``owner/name``, or ``owner/name@revision``.
    file : its name; one of :data:`FILES` by default.
    """
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = repository.partition("@")
    for each in FILES if file is None else (file,):
        found = try_to_load_from_cache(name, each, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def expect_reachable(address: str) -> None:
    """Ask a server for any answer, through the proxies of the environment.

    Raises
    ------
    WeightsError
        It gives none within :data:`PATIENCE` seconds.
    """
    patience = PATIENCE
    problems: list[str] = [f"no answer within {patience:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "facevalue"})
            with urllib.request.urlopen(request, timeout=patience):
                problems.clear()
        except urllib.error.HTTPError:
            problems.clear()  # an answer, whatever it says
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if not isinstance(reason, TimeoutError):
                problems[:] = [" ".join(str(getattr(reason, "strerror", None) or reason).split())]

    # In a thread, because looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience + 1)
    if problems:
        raise WeightsError(f"{address} cannot be reached: {problems[0]}")
