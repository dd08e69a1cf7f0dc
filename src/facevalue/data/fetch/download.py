"""Downloads that go on where they were cut, and are believed only when their checksum is right.

Ours and not pooch: pooch 1.9 begins a cut download anew, and unpacks without a limit of size and, before Python 3.12,
along a tar's links out of the folder.
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
_CUT = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class Patience:
    """How long a download tries.

    Attributes
    ----------
    tries : in a row that brought nothing new.
    wait : seconds before the second; each one later waits twice as long, a minute at most.
    timeout : seconds without a byte after which a connection is given up.
    """

    tries: int = 6
    wait: float = 1.0
    timeout: float = 30.0

    def pause(self, failed: int) -> float:
        """Seconds to wait after so many tries in vain."""
        return min(self.wait * 2.0 ** max(failed - 1, 0), 60.0)


@dataclass(frozen=True)
class Source:
    """What to fetch.

    Attributes
    ----------
    url : ``http://`` or ``https://``; proxies are taken from the environment.
    size, sha256 : what it has to have, where that is known.
    md5 : likewise, in base64, as storage services tell it.
    name : by which it is told of and known again, where the address is signed anew each time and for no other eyes;
        the address by default.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    name: str = ""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.name or self.url


class _FinalError(Exception):
    """The server's answer will not be another one next time; the text says what it was."""


def download(source: Source, target: Path, patience: Patience | None = None) -> str:
    """Fetch a file to ``target``; returns the SHA-256.

    What has arrived lies in ``target`` + ``.part`` until all of it has, and is gone on with, in this run or a later
    one: with HTTP ranges where the server knows them and still has the same file (``If-Range``), else from the start.

    Parameters
    ----------
    source : see :class:`Source`.
    target : the file to make.
    patience : see :class:`Patience`.

    Raises
    ------
    UsageError
        The address is of another kind.
    FaceValueError
        The server does not have it, cannot be reached, or sends something else. A file of the wrong content is removed;
        what arrived of an unfinished one stays for the next run.
    """
    if not source.url.startswith(("http://", "https://")):
        raise UsageError(f"expected an address that begins with http:// or https://, but got {source.shown}")
    patience = patience or Patience()
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failed, shown = 0, 0
    with progress.work(f"downloading {target.name}", _megabytes(source.size), "MB") as work:

        def arrived(at: int) -> None:
            nonlocal shown
            if at // _MB > shown:
                work.advance(at // _MB - shown)
                shown = at // _MB

        while True:
            before = _length(part)
            try:
                _fetch(source, part, patience.timeout, arrived)
                break
            except _FinalError as error:
                raise FaceValueError(f"{source.shown} {error}") from error
            except _CUT as error:
                reason = _reason(error)
                failed = 0 if _length(part) > before else failed + 1
                if failed >= patience.tries:
                    raise FaceValueError(
                        f"{source.shown} cannot be fetched: {reason}; run again to go on with the"
                        f" {_length(part):,} bytes that arrived"
                    ) from error
                pause = patience.pause(failed)
                progress.note(f"{target.name}: {reason}; trying again in {pause:g} s")
                time.sleep(pause)
    found = files.sha256(part)
    md5 = None if source.md5 is None else _md5(part)
    for kind, expected, got in (("sha256", source.sha256, found), ("md5", source.md5, md5)):
        if expected is not None and got != expected:
            _forget(part)
            raise FaceValueError(
                f"{source.shown} is not what it should be: expected {kind} {expected}, but got {got}; it was removed"
            )
    part.replace(target)
    _forget(part)
    return found


def _fetch(source: Source, part: Path, timeout: float, at: Callable[[int], None]) -> None:
    """One connection: append to ``part`` what it lacks, or begin anew."""
    size = source.size
    have, headers = _length(part), {"User-Agent": "facevalue", "Accept-Encoding": "identity"}
    if size is not None and have == size:
        at(have)
        return
    if have:
        kept = _state(part)
        validator = kept.get("validator", "") if kept.get("source") == source.shown else ""
        # Without a validator only a known checksum can tell whether both halves are of one file.
        if validator or source.sha256 is not None or source.md5 is not None:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
    try:
        response = _opener().open(urllib.request.Request(source.url, headers=headers), timeout=timeout)
    except ValueError as error:  # an address that cannot be taken apart, here or in a redirection
        raise _FinalError(f"cannot be fetched: it is no address, or leads to none ({_reason(error)})") from error
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and "Range" in headers:  # there is no more, or it is another file
                whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
                if whole and int(whole[1]) == have:
                    return
                _forget(part)
                raise ConnectionError("the server has another file now") from error
            said = f"{error.code} {' '.join(str(error.reason).split())}"
            if error.code in PASSING:
                raise ConnectionError(f"the server answers {said}") from error
            raise _FinalError(f"cannot be fetched: the server answers {said}") from error
    with response:
        told = response.headers.get("Content-Length", "")
        total = int(told) if told.isascii() and told.isdecimal() else None
        if response.status == 206:
            begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if begin is None or int(begin[1]) != have:
                _forget(part)
                raise ConnectionError("the server sent another part than was asked for")
        else:
            have = 0
        expected = None if total is None else have + total
        if size is not None and expected is not None and expected != size:
            raise _FinalError(f"is not what it should be: expected {size:,} bytes, but the server has {expected:,}")
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        files.write_text(_beside(part), json.dumps({"source": source.shown, "validator": validator}))
        with part.open("ab" if have else "wb") as stream:
            at(have)
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                have += len(chunk)
                at(have)
                if size is not None and have > size:
                    break
    if size is not None and have > size:
        _forget(part)
        raise _FinalError(f"is not what it should be: expected {size:,} bytes, but there are more")
    if (expected is not None and have < expected) or (size is not None and have < size):
        raise ConnectionError(f"the connection was cut after {have:,} bytes")


def _opener() -> urllib.request.OpenerDirector:
    """Only what goes over HTTP: a redirection to ``file:`` or ``ftp:`` finds no handler."""
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
        return "nothing came in time"
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


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _state(part: Path) -> dict[str, str]:
    try:
        kept = json.loads(_beside(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)
