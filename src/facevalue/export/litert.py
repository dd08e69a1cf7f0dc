"""LiteRT export: one ``.tflite`` for phones, small computers and browsers.

litert-torch, which converts, pins old versions of packages that facevalue needs newer, and weighs 2 GB. So it has an
environment of its own, and :mod:`facevalue.export.litert_program` runs there in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.errors import FaceValueError, MissingExtraError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.export import litert_program
from facevalue.export.base import Exporter, Pixels, Precision, Runtime
from facevalue.export.onnx import Graph, facts
from facevalue.models.classifier import Classifier
from facevalue.models.randomness import own_random_state
from facevalue.support import machine

PYTHON = "FACEVALUE_LITERT_PYTHON"
"""Environment variable: the Python of an environment that has litert-torch."""

INSTALL = (
    "the target litert needs litert-torch, which does not fit into facevalue's environment; run: "
    f"python -m venv litert && litert/bin/pip install 'litert-torch==0.10.*', and set {PYTHON}=litert/bin/python"
)

METADATA = "facevalue"
"""Name of the metadata in the file: JSON with classes, threshold and preprocessing, as in the ONNX file."""


@final
class _Named(nn.Module):
    """The graph with its outputs by name, as LiteRT's signatures have them."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.whole = graph  # not `graph`: torch.fx has an attribute of that name

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """The outputs by name."""
        return dict(zip(self.whole.outputs, self.whole(pixels), strict=True))


@final
class LitertExporter(Exporter):
    """``model.tflite``: input ``pixels`` uint8 (1, s, s, 3), outputs as in ONNX, one image a run."""

    name: ClassVar[str] = "litert"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)

    def missing(self, precision: Precision) -> str | None:
        """The interpreter is an extra; the converter has an environment of its own."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            return str(MissingExtraError("ai-edge-litert", "litert"))
        return INSTALL if converter() is None else None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Capture the graph with ``torch.export``, convert it in the other environment, and add the card's facts."""
        with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
            program = Path(folder) / "graph.pt2"
            _capture(classifier, program)
            versions = _convert(program, path, classifier.card.network.name)
        path.write_bytes(_with_metadata(path.read_bytes(), json.dumps(facts(classifier.card))))
        return versions

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """Open it with LiteRT's interpreter."""
        runner = signature(path)

        def run(pixels: Pixels) -> dict[str, NDArray[np.floating]]:
            rows = [runner(pixels=one[None]) for one in pixels]
            return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

        return Runtime(run, {"ai-edge-litert": version("ai-edge-litert")})


def converter() -> str | None:
    """The Python that has litert-torch: the one named by :data:`PYTHON`, else this one; ``None`` if there is none.

    Raises
    ------
    UsageError
        :data:`PYTHON` is set to something that is not a file.
    """
    named = os.environ.get(PYTHON, "")
    if named and not Path(named).is_file():
        raise UsageError(f"{PYTHON} should be the Python of an environment with litert-torch, but is {named!r}")
    return named or (sys.executable if importlib.util.find_spec("litert_torch") is not None else None)


def signature(path: Path) -> Any:
    """What runs the file: a function of ``pixels`` (1, s, s, 3) uint8 that returns arrays by name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=machine.threads())
    interpreter.allocate_tensors()
    return interpreter.get_signature_runner()


@own_random_state
def _capture(classifier: Classifier, path: Path) -> None:
    side = classifier.card.preprocessing.size
    module = _Named(Graph(classifier)).eval()
    example = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (), {"pixels": example}), path)


def _convert(program: Path, output: Path, network: str) -> dict[str, str]:
    """Run the converter in its own environment; returns its versions."""
    python = converter()
    assert python is not None  # missing() has said so
    # Isolated: neither this folder, which has an onnx.py, nor PYTHONPATH is where it imports from.
    command = [python, "-I", litert_program.__file__, str(program), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        raise FaceValueError(f"litert-torch ({python}) cannot convert {network}: {last.strip()[:300]}")
    versions: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return versions


def _with_metadata(model: bytes, text: str) -> bytes:
    """The file with a text added to its metadata."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = METADATA, len(whole.buffers)
    whole.buffers.append(buffer)
    whole.metadata = [*(whole.metadata or ()), entry]
    builder = flatbuffers.Builder(len(model) + len(text))
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())
