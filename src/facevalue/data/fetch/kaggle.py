"""Kaggle's sets: kagglehub logs in and finds the archive, which is then fetched and checked as any other."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import count

from facevalue.data.fetch.download import PASSING, Patience, Source
from facevalue.data.known.base import KAGGLE
from facevalue.errors import FaceValueError, MissingExtraError, UsageError
from facevalue.support import progress

LOG_IN = (
    "log in: make a token at https://www.kaggle.com/settings/api and put it into KAGGLE_API_TOKEN or"
    " ~/.kaggle/access_token (KAGGLE_USERNAME with KAGGLE_KEY, and ~/.kaggle/kaggle.json, serve as well)"
)


class _PassingError(Exception):
    """Kaggle may answer next time; the text says what happened."""


def source_at_kaggle(handle: str, wanted: Source, patience: Patience | None = None) -> Source:
    """Where the current version of a set lies, for the user whom kagglehub knows.

    ``kagglehub.dataset_download`` would unpack the archive itself and throw it away, so that neither its checksum nor
    its names and sizes could be looked at, and would give up at the second cut. So only its credentials and its client
    are used; they lead to a storage address that is signed for a while and needs no credentials.

    Parameters
    ----------
    handle : ``owner/name``.
    wanted : what is known of the archive already.
    patience : with connections, and with a server that is busy.

    Returns
    -------
    Source
        ``wanted`` at the signed address, named by the page of the version, with the size and the MD5 that the storage
        tells where nothing better is known.

    Raises
    ------
    UsageError
        kagglehub is not installed, or knows no credentials; nothing was asked of Kaggle.
    FaceValueError
        Kaggle refuses the credentials, lacks the set, or cannot be reached.
    """
    try:
        import kagglehub  # noqa: F401 - its parts are used below
    except ImportError as error:
        raise UsageError(f"{MissingExtraError('kagglehub', 'kaggle')}, and {LOG_IN}") from error
    patience = patience or Patience()
    with _heard():
        _ask_credentials()
        for attempt in count(1):
            try:
                return _found(handle, wanted, patience.timeout)
            except _PassingError as error:
                if attempt >= patience.tries:
                    raise FaceValueError(f"Kaggle cannot be asked for {handle}: {error}; try again later") from error
                pause = patience.pause(attempt)
                progress.note(f"Kaggle: {error}; trying again in {pause:g} s")
                time.sleep(pause)
    raise AssertionError("the loop ends by itself")


def _ask_credentials() -> None:
    from kagglehub.config import get_kaggle_credentials

    try:
        known = get_kaggle_credentials()
    except (OSError, ValueError) as error:
        raise UsageError(f"Kaggle's credentials cannot be read: {' '.join(str(error).split())}; {LOG_IN}") from error
    if known is None:
        raise UsageError(f"no credentials for Kaggle were found; {LOG_IN}")


def _found(handle: str, wanted: Source, timeout: float) -> Source:
    """Ask for the current version, then for its archive, of which no more than the head is read."""
    import requests
    from kagglehub.clients import build_kaggle_client
    from kagglehub.handle import parse_dataset_handle
    from kagglehub.integrity import get_md5_checksum_from_response
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest, ApiGetDatasetRequest

    name = parse_dataset_handle(handle)
    try:
        with build_kaggle_client() as client:
            # It waits for ever by itself.
            if (session := getattr(client.http_client(), "_session", None)) is not None:
                session.send = partial(session.send, timeout=timeout)
            asked = ApiGetDatasetRequest()
            asked.owner_slug, asked.dataset_slug = name.owner, name.dataset
            version = client.datasets.dataset_api_client.get_dataset(asked).current_version_number
            wish = ApiDownloadDatasetRequest()
            wish.owner_slug, wish.dataset_slug, wish.dataset_version_number = name.owner, name.dataset, version
            with client.datasets.dataset_api_client.download_dataset(wish) as response:
                address, redirected, headers = response.url, bool(response.history), response.headers
                md5 = get_md5_checksum_from_response(response)
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        if status in PASSING:
            raise _PassingError(f"it answers {status}") from error
        if status in (401, 403):
            told = f"Kaggle refuses these credentials for {handle} (it answers {status}); {LOG_IN}"
            raise FaceValueError(f"{told}; accept terms of use at {KAGGLE}{handle} if it has some") from error
        raise FaceValueError(f"Kaggle does not give {handle}: it answers {status}") from error
    except requests.Timeout as error:
        raise _PassingError("nothing came in time") from error
    except requests.ConnectionError as error:
        raise _PassingError(f"it cannot be reached ({type(error).__name__})") from error
    except (requests.RequestException, ValueError) as error:  # their texts may hold the token
        raise FaceValueError(f"Kaggle's answer for {handle} makes no sense ({type(error).__name__})") from error
    if not redirected:
        raise FaceValueError(f"Kaggle does not say where the archive of {handle} lies")
    size = headers.get("Content-Length")
    return replace(
        wanted,
        url=address,
        size=int(size) if wanted.size is None and size is not None else wanted.size,
        md5=md5,
        name=f"{KAGGLE}{handle}/versions/{version}",
    )


@contextmanager
def _heard() -> Iterator[None]:
    """What kagglehub prints and logs on standard output, which is for results, becomes notes."""
    heard = io.StringIO()
    handlers = [h for h in logging.getLogger("kagglehub").handlers if isinstance(h, logging.StreamHandler)]
    streams = [(h, h.setStream(heard)) for h in handlers if h.stream is sys.stdout]
    try:
        with redirect_stdout(heard):
            yield
    finally:
        for handler, stream in streams:
            handler.setStream(stream)
        for line in filter(None, heard.getvalue().splitlines()):
            progress.note(f"kagglehub: {line}")
