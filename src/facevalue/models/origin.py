"""The images that a classifier was made from, with their splits, and its training history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from facevalue.data.manifest import Manifest
from facevalue.errors import ModelFolderError
from facevalue.evidence.card import HISTORY, MANIFEST, OUTPUTS, ModelCard
from facevalue.evidence.outputs import ImageOutputs, read_outputs


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """The images and the training history of a classifier.

    Attributes
    ----------
    manifest : its images, with groups and splits.
    history : one line per epoch.
    outputs : what it gave for each image of the evaluations on its card.
    """

    manifest: Manifest
    history: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[ImageOutputs, ...] = ()

    def __deepcopy__(self, _memo: object) -> Origin:
        return self  # immutable, and may hold many images

    @classmethod
    def load(cls, folder: Path, card: ModelCard) -> Origin:
        """Read the origin from a model folder.

        Raises
        ------
        ModelFolderError
            A file is missing, altered or damaged.
        """
        table = pd.read_parquet(card.checked_file(folder, MANIFEST))
        manifest = Manifest(table, source=card.provenance.source, groups=card.data.groups, warnings=card.data.warnings)
        path = card.checked_file(folder, HISTORY)
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except ValueError as error:
            raise ModelFolderError(f"{path} is damaged: {error}") from error
        outputs = read_outputs(card.checked_file(folder, OUTPUTS), card.classes) if OUTPUTS in card.files else ()
        return cls(manifest, tuple(lines), outputs)
