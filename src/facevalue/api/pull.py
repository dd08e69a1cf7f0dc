"""``pull``: download a model from the Hugging Face Hub, and check every file against its card."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.published import Pulled
from facevalue.evidence.card import CARD
from facevalue.runtime.hub import fetch, hub_model
from facevalue.support import files
from facevalue.support.output_folder import free_folder


def pull(source: str, output: Path | str, *, overwrite: bool = False) -> Pulled:
    """Download a model folder. It appears only if every file has the SHA-256 on the card.

    Parameters
    ----------
    source : ``hub:user/name`` or ``user/name``, with ``@revision`` for a branch, tag or commit.
    output : the model folder to create.
    overwrite : replace an existing model folder.

    Raises
    ------
    UsageError
        ``source`` is no such name, or ``output`` exists already.
    FaceValueError
        The Hub cannot be reached, or has no such model.
    ModelFolderError
        A file is missing, or is not the one on the card.
    """
    output = Path(output)
    free_folder(output, CARD, "a model folder", overwrite)
    wanted = hub_model(source)
    with files.replacing_folder(output) as partial:
        card = fetch(wanted, partial)
    return Pulled(repository=wanted.repository, path=str(output), files=(CARD, *card.files), classes=card.classes)
