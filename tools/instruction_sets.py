"""Run the tests, slow ones included, under two instruction sets of the processor; before every release.

Libraries choose their kernels by what the processor has, and kernels add numbers in different orders. A bound that
holds with AVX2 may fail with AVX-512. The first run uses all that the processor has, the second the next lower set.

ONNX Runtime has no such switch: it always uses all that the processor has. The second run therefore compares its best
kernels with PyTorch's limited ones, as a model trained on one machine and served on another does.

``python tools/instruction_sets.py [arguments of pytest]``, for example ``tests/export``.
"""

from __future__ import annotations

import os
import subprocess
import sys

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # its matrix products, on Intel's processors
    "OPENBLAS_CORETYPE": "Haswell",  # those of NumPy and SciPy
}
SSE4 = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
}
LOWER = {"AVX512": ("AVX2", AVX2), "AVX2": ("SSE4", SSE4)}
"""The next lower set of each that PyTorch names, with the variables that limit the libraries to it."""


def capability(limits: dict[str, str]) -> str:
    """PyTorch's name of the instruction set that it uses under these variables."""
    program = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(limits), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def environment(limits: dict[str, str]) -> dict[str, str]:
    """This process's variables without limits of instruction sets, then ``limits``."""
    return {key: value for key, value in os.environ.items() if key not in AVX2} | limits


def main(arguments: list[str]) -> int:
    """Run pytest once per set; the exit code is 0 if both runs passed."""
    own = capability({})
    if own not in LOWER:
        print(f"this processor has {own}, and there is no lower set to compare it with", file=sys.stderr)
        return 2
    name, limits = LOWER[own]
    codes = {}
    for title, variables in ((own, {}), (name, limits)):
        print(f"\n== {title}: {' '.join(f'{k}={v}' for k, v in variables.items()) or 'no limits'}", flush=True)
        command = [sys.executable, "-m", "pytest", "-m", "not gpu and not network", *arguments]
        codes[title] = subprocess.run(command, env=environment(variables), check=False).returncode
    print("\n" + "; ".join(f"{title}: {'failed' if code else 'passed'}" for title, code in codes.items()))
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
