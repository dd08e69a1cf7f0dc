"""LiteRT export: one ``.tflite`` for phones, small computers and browsers.

litert-torch, which converts, pins old versions of packages that facevalue needs newer, and weighs 2 GB. So it has an
environment of its own, and :mod:`facevalue.export.litert_program` runs there in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
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

from facevalue.errors import MissingExtraError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.export import litert_file, litert_program, programs
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
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "int8")

    def missing(self, precision: Precision) -> str | None:
        """The interpreter is an extra; the converter has an environment of its own."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            return str(MissingExtraError("ai-edge-litert", "litert"))
        return INSTALL if converter() is None else None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Capture the graph with ``torch.export``, convert it in the other environment, and add the card's facts."""
        python = converter()
        assert python is not None  # missing() has said so
        with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
            program, ranges, operations = (Path(folder) / name for name in ("graph.pt2", "pixels.npy", "int8.json"))
            _capture(classifier, program)
            versions = programs.run(python, litert_program, "convert", program, path)
            litert_file.add_metadata(path, json.dumps(facts(classifier.card)))
            if calibration is not None:
                np.save(ranges, calibration)
                chosen = litert_file.eight_bit_operations(path, len(classifier.classes))
                operations.write_text(json.dumps(chosen), encoding="utf-8")
                versions |= programs.run(python, litert_program, "quantise", path, ranges, operations)
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
    """What runs the file: a function of ``pixels`` (1, s, s, 3) uint8 that returns arrays by name.

    Raises
    ------
    UsageError
        LiteRT lacks an operation of the network.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=machine.threads())
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:  # it lacks an operation, such as sorting
        first = str(error).splitlines()[0]
        raise UsageError(f"LiteRT cannot run this network; export to onnx instead. It says: {first}") from error
    return interpreter.get_signature_runner()


@own_random_state
def _capture(classifier: Classifier, path: Path) -> None:
    side = classifier.card.preprocessing.size
    module = _Named(Graph(classifier)).eval()
    example = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (), {"pixels": example}), path)
