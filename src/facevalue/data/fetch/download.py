"""Downloads that resume after an interruption and are verified by checksum.

Not pooch: pooch 1.9 restarts an interrupted download, unpacks without a size limit and, before Python 3.12, follows
links in a tar archive out of the folder.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facevalue.errors import FaceValueError, UsageError
from facevalue.support import files, progress

_CHUNK = 1 << 18
_MB = 1_000_000
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes after which trying again can help."""

_INTERRUPTED = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class Patience:
    """How often and how long a download is retried.

    Attributes
    ----------
    tries : give up after this many attempts in a row that brought no new bytes.
    wait : seconds before the second attempt; each later wait is twice as long, at most a minute.
    timeout : seconds without a byte after which a connection is closed.
    """

    tries: int = 6
    wait: float = 1.0
    timeout: float = 30.0

    def pause(self, failed: int) -> float:
        """Seconds to wait after this many failed attempts."""
        return min(self.wait * 2.0 ** max(failed - 1, 0), 60.0)


@dataclass(frozen=True)
class Source:
    """What to fetch.

    Attributes
    ----------
    url : ``http://`` or ``https://``; proxies are taken from the environment.
    size, sha256 : the expected values, if known.
    md5 : the expected value in base64, as storage services give it, if known.
    name : shown in messages and used to recognise the file. Needed for a signed address, which changes each time and is
        secret; by default the address.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    name: str = ""

    @property
    def display_name(self) -> str:
        """Its name in messages."""
        return self.name or self.url


class _FinalError(Exception):
    """Trying again cannot help; the text says what the server answered."""


def download(source: Source, target: Path, patience: Patience | None = None) -> str:
    """Download a file to ``target``; returns its SHA-256.

    An unfinished download stays in ``target`` + ``.part`` and is resumed in this run or a later one, with HTTP ranges
    if the server supports them and still has the same file (``If-Range``). Otherwise it starts again.

    Parameters
    ----------
    source : see :class:`Source`.
    target : the file to write.
    patience : see :class:`Patience`.

    Raises
    ------
    UsageError
        The address does not start with ``http://`` or ``https://``.
    FaceValueError
        The server does not have the file, cannot be reached, or sends other content. A file with other content is
        removed; an unfinished one stays for the next run.
    """
    if not source.url.startswith(("http://", "https://")):
        raise UsageError(f"Expected an address that starts with http:// or https://, but got {source.display_name}")
    patience = patience or Patience()
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failed, reported = 0, 0
    with progress.work(f"downloading {target.name}", _megabytes(source.size), "MB") as work:

        def arrived(at: int) -> None:
            nonlocal reported
            if at // _MB > reported:
                work.advance(at // _MB - reported)
                reported = at // _MB

        while True:
            before = _length(part)
            try:
                _fetch(source, part, patience.timeout, arrived)
                break
            except _FinalError as error:
                raise FaceValueError(f"{source.display_name} {error}") from error
            except _INTERRUPTED as error:
                reason = _reason(error)
                failed = 0 if _length(part) > before else failed + 1
                if failed >= patience.tries:
                    raise FaceValueError(
                        f"{source.display_name} cannot be downloaded: {reason}; run again to resume after"
                        f" {_length(part):,} bytes"
                    ) from error
                pause = patience.pause(failed)
                progress.note(f"{target.name}: {reason}; trying again in {pause:g} s")
                time.sleep(pause)
    found = files.sha256(part)
    md5 = None if source.md5 is None else _md5(part)
    for kind, expected, got in (("sha256", source.sha256, found), ("md5", source.md5, md5)):
        if expected is not None and got != expected:
            _remove(part)
            raise FaceValueError(
                f"{source.display_name} has unexpected content: expected {kind} {expected}, but got {got}; the file was"
                " removed"
            )
    part.replace(target)
    _remove(part)
    return found


def _fetch(source: Source, part: Path, timeout: float, at: Callable[[int], None]) -> None:
    """One connection: append the missing bytes to ``part``, or start again."""
    size = source.size
    have, headers = _length(part), {"User-Agent": "facevalue", "Accept-Encoding": "identity"}
    if size is not None and have == size:
        at(have)
        return
    if have:
        state = _state(part)
        validator = state.get("validator", "") if state.get("source") == source.display_name else ""
        # Without a validator only a known checksum can show that both parts are of the same file.
        if validator or source.sha256 is not None or source.md5 is not None:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
    try:
        response = _opener().open(urllib.request.Request(source.url, headers=headers), timeout=timeout)
    except ValueError as error:  # an invalid address, here or in a redirection
        raise _FinalError(
            f"cannot be downloaded: the address, or a redirection of it, is not valid ({_reason(error)})"
        ) from error
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and "Range" in headers:  # the file is complete, or another one now
                whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
                if whole and int(whole[1]) == have:
                    return
                _remove(part)
                raise ConnectionError("the server has another file now") from error
            status = f"{error.code} {' '.join(str(error.reason).split())}"
            if error.code in PASSING:
                raise ConnectionError(f"the server answered {status}") from error
            raise _FinalError(f"cannot be downloaded: the server answered {status}") from error
    with response:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdecimal() else None
        if response.status == 206:
            begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if begin is None or int(begin[1]) != have:
                _remove(part)
                raise ConnectionError("the server sent another part than requested")
        else:
            have = 0
        expected = None if total is None else have + total
        if size is not None and expected is not None and expected != size:
            raise _FinalError(f"has unexpected content: expected {size:,} bytes, but the server has {expected:,}")
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        files.write_text(_state_file(part), json.dumps({"source": source.display_name, "validator": validator}))
        with part.open("ab" if have else "wb") as stream:
            at(have)
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                have += len(chunk)
                at(have)
                if size is not None and have > size:
                    break
    if size is not None and have > size:
        _remove(part)
        raise _FinalError(f"has unexpected content: expected {size:,} bytes, but there are more")
    if (expected is not None and have < expected) or (size is not None and have < size):
        raise ConnectionError(f"the connection broke after {have:,} bytes")


def _opener() -> urllib.request.OpenerDirector:
    """Handles HTTP and HTTPS only: a redirection to ``file:`` or ``ftp:`` fails."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: BaseException) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "the connection timed out"
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())


def _megabytes(size: int | None) -> int | None:
    return None if size is None else max(1, size // _MB)


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode("ascii")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _state(part: Path) -> dict[str, str]:
    try:
        state = json.loads(_state_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)
