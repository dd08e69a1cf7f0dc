"""Records a torch module as an ONNX graph with one input, ``pixels``, of any batch size."""

from __future__ import annotations

import tempfile
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from facevalue.errors import FaceValueError, MissingExtraError
from facevalue.models.randomness import own_random_state

if TYPE_CHECKING:
    import onnx

OPSET = 18
MAX_BYTES = 2**31 - 2**20
"""A protobuf message holds at most 2 GiB, and so does a single-file ONNX model."""


class Recordable(nn.Module, ABC):
    """A module that takes ``pixels`` (n, s, s, 3) uint8 RGB and names its outputs."""

    @property
    @abstractmethod
    def outputs(self) -> list[str]:
        """Names of what ``forward`` returns, in order."""


@own_random_state
def recorded(graph: Recordable, side: int) -> onnx.ModelProto:
    """The graph in eval mode as a checked ONNX model.

    Parameters
    ----------
    side : of the network input, in pixels.

    Raises
    ------
    FaceValueError
        The weights are larger than an ONNX file can hold.
    MissingExtraError
        The package ``onnx`` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    from facevalue.models.graphs.pads import with_constant_pads

    size = sum(t.numel() * t.element_size() for t in graph.state_dict().values())
    if size > MAX_BYTES:
        raise FaceValueError(f"the network has {size / 2**30:.1f} GiB of weights, but an ONNX file holds at most 2")
    graph = graph.eval()
    # Two images: torch would treat a batch dimension of 1 as constant.
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
        path = Path(folder) / "graph.onnx"
        try:
            traced(graph, example, path)
        except (RuntimeError, torch.onnx.errors.OnnxExporterError):
            captured(graph, example, path)
        model = onnx.load_model(str(path))
    model = with_constant_pads(model, (example[:1].numpy(), example.numpy()))
    onnx.checker.check_model(model)
    return model


def traced(graph: Recordable, example: Tensor, path: Path) -> None:
    """Write the graph as ONNX by tracing one run (TorchScript).

    PyTorch's older exporter, the default here: 0.5 s for MobileNetV2, where :func:`captured` takes 12 s. A trace can
    be wrong where the network branches on its data or fixes the batch size; the parity measurement finds that.
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


def captured(graph: Recordable, example: Tensor, path: Path) -> None:
    """Write the graph as ONNX by ``torch.export``: slower, for networks with operators that tracing cannot export."""
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
