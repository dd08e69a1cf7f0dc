"""A program that converts a captured graph to LiteRT: ``python litert_program.py graph.pt2 model.tflite``.

It runs in an environment with litert-torch and without facevalue, so it imports nothing of facevalue's. The last line
that it prints is the versions of what it used, as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

PACKAGES = ("litert-torch", "litert-converter", "torch")


def main(program: str, output: str) -> None:
    """Convert the graph in ``program``, as ``torch.export.save`` wrote it, to the file ``output``."""
    import litert_torch
    import torch

    captured = torch.export.load(program)
    example = captured.example_inputs
    assert example is not None
    _, named = example
    litert_torch.convert(captured.module(), sample_kwargs=named).export(output)
    print(json.dumps({name: version(name) for name in PACKAGES}))


if __name__ == "__main__":
    main(*sys.argv[1:])
