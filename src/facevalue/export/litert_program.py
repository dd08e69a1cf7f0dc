"""A program that converts and quantises for LiteRT, in an environment that has litert-torch.

    python litert_program.py convert graph.pt2 model.tflite
    python litert_program.py quantise model.tflite calibration.npy operations.json

facevalue is not installed there, so this file imports nothing of it. The last line that it prints is the versions of
what it used, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path


def convert(program: str, output: str) -> tuple[str, ...]:
    """Convert a graph that ``torch.export.save`` wrote; returns the packages used."""
    import litert_torch
    import torch

    captured = torch.export.load(program)
    example = captured.example_inputs
    assert example is not None
    _, named = example
    litert_torch.convert(captured.module(), sample_kwargs=named).export(output)
    return ("litert-torch", "litert-converter", "torch")


def quantise(model: str, calibration: str, operations: str) -> tuple[str, ...]:
    """Replace a file by one with 8-bit operations, weights a channel; returns the packages used.

    Parameters
    ----------
    calibration : network inputs (n, s, s, 3) uint8, as NumPy saves them.
    operations : JSON: by kind of operation, the names of those that compute with 8 bits. All others stay float.
    """
    import numpy as np
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.qtyping import TFLOperationName

    work = quantizer.Quantizer(model)
    for kind, names in json.loads(Path(operations).read_text(encoding="utf-8")).items():
        work.add_static_config(
            regex=f"^(?:{'|'.join(map(re.escape, names))});$",
            operation_name=TFLOperationName(kind),
            activation_num_bits=8,
            weight_num_bits=8,
        )
    ranges = work.calibrate({"serving_default": [{"pixels": one[None]} for one in np.load(calibration)]}, num_threads=2)
    work.quantize(ranges).export_model(model, overwrite=True)
    return ("ai-edge-quantizer",)


if __name__ == "__main__":
    _, verb, *arguments = sys.argv
    used = convert(*arguments) if verb == "convert" else quantise(*arguments)
    print("\n" + json.dumps({name: version(name) for name in used}))
