"""A program that quantises an OpenVINO model: ``openvino_program.py quantise in.xml out.xml pixels.npy float.json``.

It is a process of its own because NNCF prints and changes the settings of its process. The last line that it prints is
the versions of what it used, as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

TELEMETRY = "openvino_telemetry"
"""Where this package can be imported, OpenVINO and NNCF send events of their use to their makers, without asking."""


def quantise(model: str, output: str, calibration: str, floating: str) -> tuple[str, ...]:
    """Write a model with 8-bit operations; returns the packages used.

    Parameters
    ----------
    calibration : network inputs (n, s, s, 3) uint8, as NumPy saves them.
    floating : JSON: the names of the operations that stay float.
    """
    import nncf
    import numpy as np
    import openvino as ov

    pixels = np.load(calibration)
    quantised = nncf.quantize(
        ov.Core().read_model(model),
        nncf.Dataset([one[None] for one in pixels]),
        subset_size=len(pixels),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=json.loads(Path(floating).read_text(encoding="utf-8")), validate=False),
    )
    ov.save_model(quantised, output, compress_to_fp16=False)
    return ("nncf", "openvino")


if __name__ == "__main__":
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    assert sys.argv[1] == "quantise"
    used = quantise(*sys.argv[2:])
    print("\n" + json.dumps({name: version(name) for name in used}))
