"""Kaggle datasets: kagglehub logs in and finds the archive, which is then downloaded and verified as any other."""

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
    "log in: create a token at https://www.kaggle.com/settings/api and put it into KAGGLE_API_TOKEN or"
    " ~/.kaggle/access_token (KAGGLE_USERNAME with KAGGLE_KEY, or ~/.kaggle/kaggle.json, also work)"
)


class _PassingError(Exception):
    """Trying again can help; the text says what happened."""


def source_at_kaggle(handle: str, wanted: Source, patience: Patience | None = None) -> Source:
    """The download address of the current version of a dataset, for the logged-in user.

    Only kagglehub's credentials and client are used: they give a signed storage address that is valid for a while and
    needs no credentials. ``kagglehub.dataset_download`` would unpack and delete the archive, so that its checksum, file
    names and sizes could not be checked, and would give up at the second interruption.

    Parameters
    ----------
    handle : ``owner/name``.
    wanted : what is already known of the archive.
    patience : with interrupted connections and busy servers.

    Returns
    -------
    Source
        ``wanted`` with the signed address and the page of the version as its name; also with the size and MD5 that the
        storage gives, if they were unknown.

    Raises
    ------
    UsageError
        kagglehub is not installed, or finds no credentials; Kaggle was not contacted.
    FaceValueError
        Kaggle refuses the credentials, does not have the dataset, or cannot be reached.
    """
    try:
        import kagglehub  # noqa: F401 - its parts are used below
    except ImportError as error:
        raise UsageError(f"{MissingExtraError('kagglehub', 'kaggle')}, and {LOG_IN}") from error
    patience = patience or Patience()
    with _output_as_notes():
        _check_credentials()
        for attempt in count(1):
            try:
                return _found(handle, wanted, patience.timeout)
            except _PassingError as error:
                if attempt >= patience.tries:
                    raise FaceValueError(f"{handle} cannot be requested from Kaggle: {error}; try later") from error
                pause = patience.pause(attempt)
                progress.note(f"Kaggle: {error}; trying again in {pause:g} s")
                time.sleep(pause)
    raise AssertionError("the loop returns or raises")


def _check_credentials() -> None:
    from kagglehub.config import get_kaggle_credentials

    try:
        known = get_kaggle_credentials()
    except (OSError, ValueError) as error:
        raise UsageError(f"Kaggle's credentials cannot be read: {' '.join(str(error).split())}; {LOG_IN}") from error
    if known is None:
        raise UsageError(f"no credentials for Kaggle were found; {LOG_IN}")


def _found(handle: str, wanted: Source, timeout: float) -> Source:
    """Request the current version, then its archive, of which only the HTTP headers are read."""
    import requests
    from kagglehub.clients import build_kaggle_client
    from kagglehub.handle import parse_dataset_handle
    from kagglehub.integrity import get_md5_checksum_from_response
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest, ApiGetDatasetRequest

    name = parse_dataset_handle(handle)
    try:
        with build_kaggle_client() as client:
            # The client has no timeout of its own.
            if (session := getattr(client.http_client(), "_session", None)) is not None:
                session.send = partial(session.send, timeout=timeout)
            about = ApiGetDatasetRequest()
            about.owner_slug, about.dataset_slug = name.owner, name.dataset
            version = client.datasets.dataset_api_client.get_dataset(about).current_version_number
            archive = ApiDownloadDatasetRequest()
            archive.owner_slug, archive.dataset_slug, archive.dataset_version_number = name.owner, name.dataset, version
            with client.datasets.dataset_api_client.download_dataset(archive) as response:
                address, redirected, headers = response.url, bool(response.history), response.headers
                md5 = get_md5_checksum_from_response(response)
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        if status in PASSING:
            raise _PassingError(f"it answered {status}") from error
        if status in (401, 403):
            refusal = f"Kaggle refused these credentials for {handle} (it answered {status}); {LOG_IN}"
            raise FaceValueError(
                f"{refusal}; if the dataset has terms of use, accept them at {KAGGLE}{handle}"
            ) from error
        raise FaceValueError(f"Kaggle refused the request for {handle}: it answered {status}") from error
    except requests.Timeout as error:
        raise _PassingError("the connection timed out") from error
    except requests.ConnectionError as error:
        raise _PassingError(f"it cannot be reached ({type(error).__name__})") from error
    except (requests.RequestException, ValueError) as error:  # the text may hold the token, so only the type is shown
        raise FaceValueError(f"Kaggle's answer for {handle} is not valid ({type(error).__name__})") from error
    if not redirected:
        raise FaceValueError(f"Kaggle gave no download address for {handle}")
    size = headers.get("Content-Length")
    return replace(
        wanted,
        url=address,
        size=int(size) if wanted.size is None and size is not None else wanted.size,
        md5=md5,
        name=f"{KAGGLE}{handle}/versions/{version}",
    )


@contextmanager
def _output_as_notes() -> Iterator[None]:
    """Turn what kagglehub prints and logs into notes: standard output is for results only."""
    output = io.StringIO()
    handlers = [h for h in logging.getLogger("kagglehub").handlers if isinstance(h, logging.StreamHandler)]
    streams = [(h, h.setStream(output)) for h in handlers if h.stream is sys.stdout]
    try:
        with redirect_stdout(output):
            yield
    finally:
        for handler, stream in streams:
            handler.setStream(stream)
        for line in filter(None, output.getvalue().splitlines()):
            progress.note(f"kagglehub: {line}")
