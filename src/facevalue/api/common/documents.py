"""The documents of a model folder that are made from its card: report, model card and bill of materials."""

from __future__ import annotations

from pathlib import Path

from facevalue.evidence import bom
from facevalue.evidence.card import REPORT, ModelCard
from facevalue.export.hub_card import README, readme
from facevalue.reports.model_page import write_report
from facevalue.support import files


def write_documents(folder: Path) -> Path:
    """Write ``report.html``, ``README.md`` and ``bom.cdx.json``, and their SHA-256 to the card; returns the report.

    Raises
    ------
    ModelFolderError
        There is no card, or the history is damaged.
    """
    write_report(folder, folder / REPORT)
    card = ModelCard.load(folder)
    files.write_text(folder / README, readme(card))
    bom.write_bom(card, folder)
    made = {name: files.sha256(folder / name) for name in (REPORT, README, bom.FILE)}
    card.changed(files={**card.files, **made}).save(folder)
    return folder / REPORT
