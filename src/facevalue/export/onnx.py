"""ONNX export: the file for the runtime, the server and the browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, final

import msgspec
import torch
from torch import Tensor

from facevalue.evidence.card import ModelCard
from facevalue.export.base import Exporter, Pixels, Precision, Runtime
from facevalue.models.classifier import Classifier
from facevalue.models.graphs.record import Recordable, recorded
from facevalue.runtime import Predictor


@final
class Graph(Recordable):
    """The exported graph: from pixels to calibrated outputs, normalisation included.

    ``pixels`` (n, s, s, 3) uint8 RGB → ``logits`` (n, k), ``probabilities`` (n, k) calibrated, ``novelty`` (n,), and,
    for a pooled body, ``heat`` (n, h, w): the positive part of the class activation map of the predicted class.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of :attr:`outputs`."""
        model = self.classifier
        maps = model.maps(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255)
        features = model.body.embed(maps)
        logits = model.body.head(features)
        probabilities = model.calibrated(logits)
        decided = self._decided(probabilities)
        answers = (logits, probabilities, model.novelty_score(features, logits, decided))
        return (*answers, model.heat(maps, decided)) if model.body.pooled else answers

    def _decided(self, probabilities: Tensor) -> Tensor:
        """(n,) predicted class, by the rule of :func:`facevalue.decision.decide`."""
        card = self.classifier.card
        positive = card.positive_index
        if positive is None:
            return probabilities.argmax(1)
        above = (probabilities[:, positive] >= card.threshold).to(torch.int64)
        return above if positive == 1 else 1 - above

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs of :meth:`forward`."""
        return ["logits", "probabilities", "novelty"] + (["heat"] if self.classifier.body.pooled else [])


@final
class OnnxExporter(Exporter):
    """``model.onnx``: one file, any batch size, opset 18."""

    name: ClassVar[str] = "onnx"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "int8")
    takes_faces: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str | None:
        """ONNX Runtime is part of every installation; what else is needed says so itself."""
        return None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Record the graph and add metadata from the card."""
        model = recorded(Graph(classifier), classifier.card.preprocessing.size)
        import onnx

        if calibration is not None:
            from facevalue.export.onnx_int8 import quantised

            model = quantised(model, calibration, len(classifier.classes))
        onnx.helper.set_model_props(model, facts(classifier.card))
        onnx.save_model(model, str(path))
        return {"onnx": version("onnx")}

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """Open it with the runtime's :class:`~facevalue.runtime.Predictor`."""
        return Runtime(Predictor(card, path).outputs, {"onnxruntime": version("onnxruntime")})


def facts(card: ModelCard) -> dict[str, str]:
    """Metadata for users who have the file without its card."""
    return {
        "facevalue_version": version("facevalue"),
        "classes": json.dumps(card.classes, ensure_ascii=False),
        "positive": json.dumps(card.positive, ensure_ascii=False),
        "threshold": repr(card.threshold),
        "temperature": repr(card.temperature),
        "calibration": json.dumps({"method": card.calibration.method, "parameters": card.calibration.parameters}),
        "novelty_limit": json.dumps(card.abstention.novelty),
        "source_limit": json.dumps(card.abstention.source),
        "network": card.network.name,
        "preprocessing": json.dumps(msgspec.to_builtins(card.preprocessing)),
        "gate": json.dumps(None if card.gate is None else card.gate.to_dict()),
    }
