"""The process that checks Content Credentials; :mod:`facevalue.marks.credentials` starts it, as a file.

Standard input: one line of JSON with the trusted certificates, then for each file a line of JSON and its bytes.
Standard output: a line once it is ready, then for each file one line of JSON. Nothing of facevalue is imported, so it
is small and starts quickly.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from typing import Any, BinaryIO

MOST_MEMORY = 4 * 2**30
"""Bytes of address space. A file that makes the library ask for more ends the process, not the machine."""


def settings_of(trusted: str | None) -> dict[str, Any]:
    """The library's settings: nothing is fetched from the network, whatever a file asks for."""
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    return settings if trusted is None else settings | {"trust": {"user_anchors": trusted}}


def answer(data: bytes, media_type: str, context: Any) -> dict[str, Any]:
    """The state and the library's report on one file.

    Empty if it has no manifest, ``remote`` if it has only the address of one, ``error`` if it is damaged.
    """
    import c2pa

    try:
        reader = c2pa.Reader.try_create(media_type, io.BytesIO(data), context=context)
        if reader is None:
            return {}
        with reader:
            return {"state": reader.get_validation_state(), "report": json.loads(reader.json())}
    except (c2pa.C2paError, ValueError) as error:
        if str(error).startswith("Remote"):  # it has no class of its own
            return {"remote": True}
        return {"error": str(error)[:500] or type(error).__name__}


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Answer until the input ends."""
    import c2pa

    trusted = json.loads(asked.readline())["trusted"]
    context = c2pa.Context(c2pa.Settings.from_dict(settings_of(trusted)))
    told.write(b"true\n")
    told.flush()
    while line := asked.readline():
        head = json.loads(line)
        data = asked.read(head["size"])
        told.write(json.dumps(answer(data, head["media_type"], context)).encode() + b"\n")
        told.flush()


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
        with contextlib.suppress(OSError, ValueError):  # not every system has this limit
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks; it closes the input
    _limit_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write between the answers
    serve(sys.stdin.buffer, answers)
