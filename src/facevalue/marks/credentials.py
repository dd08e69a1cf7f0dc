"""Content Credentials (C2PA), checked with c2pa-python in a process of its own.

The library is native code that reads files from strangers. In a process of its own, neither a crash nor a file that
takes too long can stop the program that asks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from facevalue.errors import MissingExtraError, UsageError
from facevalue.marks.manifest import credentials_of
from facevalue.marks.record import Credentials, shown
from facevalue.support import child_process

MISSING = "c2pa-python is not installed; run: pip install 'facevalue[provenance]'"
"""Why credentials are not checked without the extra."""

REMOTE = Credentials("not_checked", detail="they are on the web, and nothing is fetched")
"""For a file that has only the address of its credentials."""

MOST_BYTES = 64 * 2**20
"""Larger files are not checked."""

SECONDS = 5.0
"""A check that takes longer is given up."""

_SECONDS_TO_START = 60.0
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")

_PROGRAM = Path(__file__).with_name("credentials_process.py")


@final
class CredentialsReader:
    """Checks the credentials of files, one at a time. Thread-safe; the process starts with the first file.

    Parameters
    ----------
    trust_list : see :class:`facevalue.marks.MarkReader`.
    seconds : a check that takes longer is given up.

    Raises
    ------
    UsageError
        ``trust_list`` cannot be read, or has no certificate.
    MissingExtraError
        A ``trust_list`` is given, and c2pa-python is not installed.
    """

    def __init__(self, trust_list: Path | str | None = None, seconds: float = SECONDS) -> None:
        if trust_list is not None and not is_installed():
            raise MissingExtraError("c2pa-python", "provenance")
        self._trusted = None if trust_list is None else certificates_in(Path(trust_list))
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., Any] | None = None

    def close(self) -> None:
        """End the process; the next file starts another."""
        with self._lock:
            self._stop()

    def of(self, data: bytes, media_type: str, seems_signed: bool) -> Credentials:
        """The credentials of a file's bytes.

        Parameters
        ----------
        seems_signed : whether the bytes of a manifest were found, for where no check is possible.
        """
        if not is_installed():
            return Credentials("not_checked", detail=MISSING) if seems_signed else Credentials()
        if len(data) > MOST_BYTES:
            detail = f"the file has more than {MOST_BYTES // 2**20} MB"
            return Credentials("not_checked", detail=detail) if seems_signed else Credentials()
        with self._lock:
            answer = self._ask(data, media_type)
        if answer == {}:
            return Credentials()
        match answer:
            case {"remote": True}:
                return REMOTE
            case {"error": str(why)}:
                return Credentials("unreadable", detail=shown(why))
            case {"state": str(state), "report": dict(report)}:
                return credentials_of(state, report)
        return Credentials("not_checked", detail=f"the check failed or took more than {self._seconds:g} s")

    def _ask(self, data: bytes, media_type: str) -> Any:
        """The process's answer; ``None`` if it gave none, and it is ended then."""
        head = json.dumps({"media_type": media_type, "size": len(data)}).encode()
        try:
            self._start()
            return json.loads(self._told(head + b"\n" + data, self._seconds))
        except (OSError, ValueError):  # it has ended, or could not be started
            self._stop()
            return None
        except BaseException:  # Ctrl-C: the answer that is still to come must not be taken for the next file's
            self._stop()
            raise

    def _told(self, asked: bytes, seconds: float) -> bytes:
        """The process's next line; empty if it ends, as it must where it takes longer."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(seconds, process.kill)
        watch.daemon = True
        watch.start()
        try:
            process.stdin.write(asked)
            process.stdin.flush()
            return process.stdout.readline()
        finally:
            watch.cancel()

    def _start(self) -> None:
        """Start the process unless it runs; raises ``OSError`` or ``ValueError`` if it cannot be."""
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        # -P: modules of this folder must not stand in for others.
        process = child_process.started([sys.executable, "-P", str(_PROGRAM)])
        self._process = process
        self._end = weakref.finalize(self, child_process.end, process)
        json.loads(self._told(json.dumps({"trusted": self._trusted}).encode() + b"\n", _SECONDS_TO_START))

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._process = self._end = None


def is_installed() -> bool:
    """Whether the extra ``provenance`` is there."""
    try:
        return find_spec("c2pa") is not None
    except ImportError:
        return False


def certificates_in(path: Path) -> str:
    """The certificates in a PEM file, without the comments around them.

    Raises
    ------
    UsageError
        It cannot be read, or is no such file.
    """
    import ssl

    try:
        found = _CERTIFICATE.findall(path.read_text(encoding="utf-8", errors="replace"))
        text = "\n".join([*found, ""])
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:
        why = "has no certificate in PEM form" if isinstance(error, ssl.SSLError | ValueError) else "cannot be read"
        raise UsageError(f"the `trust_list` {path} {why}") from error
    return text
