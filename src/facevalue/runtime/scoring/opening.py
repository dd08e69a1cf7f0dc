"""How a model is opened and how it scores, in a form that can be sent to another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from facevalue.errors import UsageError
from facevalue.evidence.card import ONNX, ModelCard
from facevalue.evidence.record import Record
from facevalue.faces.gate import WhichFaces
from facevalue.runtime.gate import GateChoice
from facevalue.runtime.predictor import Predictor, open_folder
from facevalue.runtime.scoring import parts
from facevalue.runtime.scoring.engines import Precision


class Opening(Record, frozen=True):
    """A model folder and how to open it, see :func:`facevalue.runtime.open_folder`."""

    folder: str
    gate: GateChoice | None = None
    gate_model: str | None = None
    stable: int | None = None

    def predictor(self) -> Predictor:
        """The opened model."""
        return open_folder(self.folder, gate=self.gate, gate_model=self.gate_model, stable=self.stable)

    def graph(self, card: ModelCard) -> Path:
        """The checked ``model.onnx``."""
        return card.checked_file(Path(self.folder), ONNX)


class How(Record, frozen=True):
    """How to score.

    Attributes
    ----------
    engine : ``auto``, ``openvino`` or ``onnxruntime`` on this machine, or ``ray``.
    precision : ``fp32``, or ``bf16`` where the card says that it gives the model's answers.
    faces : as for :meth:`Predictor.stream`.
    part_images : most images in a part.
    """

    engine: Literal["auto", "openvino", "onnxruntime", "ray"] = "auto"
    precision: Precision = "fp32"
    faces: WhichFaces = "largest"
    part_images: int = parts.IMAGES

    def __post_init__(self) -> None:
        if self.part_images < 1:
            raise UsageError(f"Expected `part_images` of at least 1, but got {self.part_images}")
