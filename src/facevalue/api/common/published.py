"""What is published of a model, and what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pandas as pd

from facevalue.data.manifest import COLUMNS
from facevalue.errors import UsageError
from facevalue.evidence import bom
from facevalue.evidence.card import HISTORY, MANIFEST, ONNX, OUTPUTS, REPORT, WEIGHTS, ModelCard
from facevalue.evidence.published import public_card
from facevalue.evidence.record import Record
from facevalue.export import EXPORTERS
from facevalue.export.hub_card import README, readme
from facevalue.models.classifier import Classifier
from facevalue.reports.model_page import write_report
from facevalue.support import files


class Pushed(Record, frozen=True):
    """What was published: the address of the commit, and the files.

    ``foreign`` is why timm and transformers cannot open it; ``None`` if they can.
    """

    repository: str
    commit: str
    files: tuple[str, ...]
    foreign: str | None = None


class Pulled(Record, frozen=True):
    """What was downloaded: the model folder and its files, each with the SHA-256 on the card."""

    repository: str
    path: str
    files: tuple[str, ...]
    classes: tuple[str, ...]


def stage(classifier: Classifier, folder: Path, target: Path) -> str | None:
    """Fill an empty folder with what is published of a model folder.

    That is the model folder, with the card without local paths and commands, and the manifest without names
    (:func:`nameless`); ``README.md`` and ``bom.cdx.json``; and what timm and transformers open, if they can. The card
    has the SHA-256 of all of them but the report. The canaries stay here: they may be copies of the user's images.

    Parameters
    ----------
    classifier : a copy on the CPU, in eval mode; its card is replaced.
    folder : the model folder that it was loaded from.
    target : an empty folder.

    Returns
    -------
    Why timm and transformers cannot open it; ``None`` if they can.
    """
    card = classifier.card
    for name in (WEIGHTS, ONNX, HISTORY, *([OUTPUTS] if OUTPUTS in card.files else [])):
        shutil.copyfile(card.checked_file(folder, name), target / name)
    nameless(pd.read_parquet(card.checked_file(folder, MANIFEST))).to_parquet(target / MANIFEST, index=False)
    # As a server tells it: local paths and commands are nobody's business.
    public = classifier.card = msgspec.convert(public_card(card), ModelCard)
    foreign = None
    try:
        EXPORTERS["hf"].write(classifier, target)
    except UsageError as error:
        foreign = str(error)
        (target / README).write_text(readme(public), encoding="utf-8")
    bom.write_bom(public, target)
    made = {path.name: files.sha256(path) for path in sorted(target.iterdir())}
    public.changed(files=made).save(target)
    write_report(target, target / REPORT)
    return foreign


def nameless(table: pd.DataFrame) -> pd.DataFrame:
    """A manifest without names of files, people and folders, and without columns of the user's own.

    The hashes stay, so that whoever has the model can see which of their images it was made from, and groups are
    numbered, so that splits can be checked.
    """
    kept = table[[name for name in COLUMNS if name in table.columns]].copy()
    numbers = [f"image-{i:06d}" for i in range(len(kept))]
    groups = pd.factorize(kept["group"])[0]
    kept["path"] = kept["key"] = numbers
    kept["group"] = [f"group-{number:06d}" for number in groups]
    return kept
