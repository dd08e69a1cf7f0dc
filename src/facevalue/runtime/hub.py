"""Models on the Hugging Face Hub: ``hub:user/name``, or ``hub:user/name@revision``."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from facevalue.errors import FaceValueError, MissingExtraError, ModelFolderError, UsageError
from facevalue.evidence.card import CARD, ModelCard
from facevalue.support import files

PREFIX = "hub:"

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?P<repository>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?")


class HubModel(NamedTuple):
    """A repository on the Hub; ``revision`` is a branch, tag or commit, ``None`` for the newest."""

    repository: str
    revision: str | None = None


def hub_model(name: str | os.PathLike[str]) -> HubModel:
    """The repository of ``hub:user/name`` or ``user/name``, with ``@revision`` if it is given.

    Raises
    ------
    UsageError
        This is no such name.

    >>> hub_model("hub:anna/faces@v2")
    HubModel(repository='anna/faces', revision='v2')
    """
    text = os.fspath(name).removeprefix(PREFIX)
    found = _NAME.fullmatch(text)
    if found is None:
        raise UsageError(f"Expected the name of a model on the Hub as user/name, but got {text!r}")
    return HubModel(found["repository"], found["revision"])


def local_folder(model: str | os.PathLike[str]) -> Path:
    """A model folder as it is; for ``hub:user/name`` its copy in the cache, downloaded if that commit is not there.

    Raises
    ------
    FaceValueError
        The Hub cannot be reached, or has no such model.
    ModelFolderError
        A downloaded file is not the one on the card.
    """
    if not os.fspath(model).startswith(PREFIX):
        return Path(model)
    wanted = hub_model(model)
    with hub_errors(wanted.repository):
        import huggingface_hub

        commit = huggingface_hub.HfApi().model_info(wanted.repository, revision=wanted.revision).sha
    folder = files.cache_folder() / "hub" / wanted.repository.replace("/", "--") / str(commit)
    if not folder.is_dir():
        with files.replacing_folder(folder) as partial:
            fetch(HubModel(wanted.repository, commit), partial)
    return folder


def fetch(model: HubModel, folder: Path) -> ModelCard:
    """Download a model into an empty folder: the card, and the files on it, whose SHA-256 are checked.

    Other files in the repository are left where they are.

    Raises
    ------
    FaceValueError
        The Hub cannot be reached, or has no such model.
    ModelFolderError
        The repository holds no model of facevalue, a file is missing, or is not the one on the card.
    """
    repository, revision = model
    with hub_errors(repository):
        import huggingface_hub

        huggingface_hub.hf_hub_download(repository, CARD, revision=revision, local_dir=folder)
        card = ModelCard.load(folder)
        odd = [name for name in card.files if Path(name).name != name]
        if odd:
            raise ModelFolderError(f"{repository} names a file outside of its folder on its card: {odd[0]!r}")
        # Names, not patterns: brackets and stars in them are escaped.
        names = [re.sub(r"([*?\[])", r"[\1]", name) for name in card.files]
        huggingface_hub.snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=names)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for name in card.files:
        card.checked_file(folder, name)
    return card


def _http_error(errors: ModuleType) -> type[Exception]:
    """The base of its HTTP client's errors; the client is httpx or httpx2, by version."""
    found: type[Exception] = errors.HTTPError
    return found


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into one line."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingExtraError("huggingface-hub", "hub") from error
    try:
        yield
    except errors.RepositoryNotFoundError as error:
        raise FaceValueError(
            f"the Hub has no model {repository}, or it is private and you are not logged in; run: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FaceValueError(f"{repository} has no such revision on the Hub") from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelFolderError(f"{repository} is not a model of facevalue: it has no {CARD}") from error
    except errors.LocalTokenNotFoundError as error:
        raise UsageError("you are not logged in to the Hub; run: hf auth login") from error
    except (errors.HfHubHTTPError, _http_error(errors), OSError) as error:
        text = " ".join(str(error).split())[:200]
        raise FaceValueError(f"the Hub did not do it for {repository}: {text}") from error
