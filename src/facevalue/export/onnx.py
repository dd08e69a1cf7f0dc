"""ONNX: the file that the runtime, the server and the browser run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from facevalue.card import Card
from facevalue.classifier import Classifier
from facevalue.errors import FaceValueError, MissingExtraError
from facevalue.export.base import Exporter
from facevalue.runtime import Predictor
from facevalue.verdict import Verdict

OPSET = 18
MAX_BYTES = 2**31 - 2**20
"""A protobuf message, and so an ONNX file without a second one beside it, ends at 2 GiB."""


@final
class Graph(nn.Module):
    """What goes into the file: pixels to answers, preprocessing and calibration inside.

    ``pixels`` (n, s, s, 3) uint8 RGB → ``logits`` (n, k), ``probabilities`` (n, k) calibrated, ``novelty`` (n,), and,
    for a pooled body, ``heat`` (n, h, w): the positive part of the class activation map of the class decided for.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The answers, in the order of :attr:`outputs`."""
        model = self.classifier
        maps = model.maps(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255)
        features = model.body.embed(maps)
        logits = model.body.head(features)
        probabilities = model.calibrated(logits)
        answers = (logits, probabilities, model.novelty(features))
        return (*answers, model.heat(maps, self._decided(probabilities))) if model.body.pooled else answers

    def _decided(self, probabilities: Tensor) -> Tensor:
        """(n,) the class decided for, by the rule of :func:`facevalue.decision.decide`."""
        card = self.classifier.card
        positive = card.positive_index
        if positive is None:
            return probabilities.argmax(1)
        above = (probabilities[:, positive] >= card.threshold).to(torch.int64)
        return above if positive == 1 else 1 - above

    @property
    def outputs(self) -> list[str]:
        """Names of what :meth:`forward` returns."""
        return ["logits", "probabilities", "novelty"] + (["heat"] if self.classifier.body.pooled else [])


@final
class OnnxExporter(Exporter):
    """``model.onnx``: one file, any batch size, opset 18."""

    name: ClassVar[str] = "onnx"

    def write(self, classifier: Classifier, path: Path) -> None:
        """Record the graph, make its paddings constant, add the card's facts, and check it."""
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("onnx", "train") from error
        size = sum(t.numel() * t.element_size() for t in classifier.state_dict().values())
        if size > MAX_BYTES:
            raise FaceValueError(f"the network has {size / 2**30:.1f} GiB of weights, but an ONNX file holds at most 2")
        graph = Graph(classifier).eval()
        side = classifier.card.geometry.size
        # Two pictures: torch takes a dimension of 1 for one that is always 1.
        example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
        try:
            traced(graph, example, path)
        except (RuntimeError, torch.onnx.errors.OnnxExporterError):
            captured(graph, example, path)
        from facevalue.export.onnx_pads import with_constant_pads

        model = with_constant_pads(onnx.load_model(str(path)), (example[:1].numpy(), example.numpy()))
        onnx.helper.set_model_props(model, _facts(classifier.card))
        onnx.checker.check_model(model)
        onnx.save_model(model, str(path))

    def run(self, card: Card, path: Path, batches: Iterable[Sequence[Path]]) -> Iterator[Verdict]:
        """Judge with the runtime's own :class:`~facevalue.runtime.Predictor`."""
        predictor = Predictor(card, path)
        for batch in batches:
            yield from predictor.predict_files(batch)


def traced(graph: Graph, example: Tensor, path: Path) -> None:
    """Write the graph as ONNX by recording one run (TorchScript).

    PyTorch's older way, and the default here because it takes 0.5 s for MobileNetV2 where :func:`captured` takes 12.
    What a recording can get wrong (a branch on the data, a fixed batch size) is what parity is measured for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=graph.outputs,
            dynamic_axes={name: {0: "n"} for name in ("pixels", *graph.outputs)},
        )


def captured(graph: Graph, example: Tensor, path: Path) -> None:
    """Write the graph as ONNX by ``torch.export``: slower, for networks with operators that tracing cannot write."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=graph.outputs,
            dynamic_shapes={"pixels": {0: torch.export.Dim("n", min=1)}},
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)


def _facts(card: Card) -> dict[str, str]:
    """Metadata for those who find the file without its card."""
    geometry = card.geometry
    return {
        "facevalue_version": version("facevalue"),
        "classes": json.dumps(card.classes, ensure_ascii=False),
        "positive": json.dumps(card.positive, ensure_ascii=False),
        "threshold": repr(card.threshold),
        "temperature": repr(card.temperature),
        "network": card.network.name,
        "geometry": json.dumps(
            {
                "size": geometry.size,
                "fit": geometry.fit,
                "filter": geometry.filter,
                "crop_fraction": geometry.crop_fraction,
            }
        ),
    }
