"""Calibration errors by netcal, for ``evaluation/test_probability_figures.py``: a script, no part of the test run.

    python tests/environments/netcal_reference.py

netcal pulls in GPyTorch, Pyro and TensorBoard, so it gets an environment of its own. The script writes
``tests/fixtures/netcal.json``: the figures of netcal 1.4.0 on probabilities that both sides draw from the same seeds.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "fixtures" / "netcal.json"
PACKAGES = ("netcal==1.4.0", "setuptools<81")
INSIDE = """
import json, sys
import numpy as np
from netcal.metrics import ECE

def drawn(n, k, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    return np.concatenate([np.arange(k), rng.integers(0, k, n - k)]), p

rows = []
for n, k, seed in ((450, 2, 0), (1500, 3, 1), (150, 5, 2)):
    y, p = drawn(n, k, seed)
    confidence, right = p.max(1), (p.argmax(1) == y).astype(int)
    # Confidences of one class at a time: netcal's own binary form.
    of_class = [ECE(15).measure(p[:, c], (y == c).astype(int)) for c in range(k)]
    rows.append({
        "n": n, "k": k, "seed": seed,
        "ece": float(ECE(15).measure(confidence, right)),
        "ece_equal_mass": float(ECE(15, equal_intervals=False).measure(confidence, right)),
        "ece_classwise": float(np.mean(of_class)),
    })
json.dump(rows, sys.stdout)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run([*install, "-c", str(ROOT / "constraints.txt")], check=True)
        done = subprocess.run([python, "-c", INSIDE], check=True, capture_output=True, text=True)
    TARGET.write_text(json.dumps({"made_by": PACKAGES[0], "figures": json.loads(done.stdout)}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
