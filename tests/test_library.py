"""A library, not a process: importing and calling it changes nothing of its host. The command line may.

The libraries below are imported first: some set a variable or a filter of their own when they load, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .runtime.model_folders import write_model

STATE = """
import json, locale, logging, os, random, signal, sys, threading, warnings
from pathlib import Path

def state():
    found = {
        "environment": dict(os.environ),
        "filters": [repr(f) for f in warnings.filters],
        "signals": {int(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
        "random": repr(random.getstate()),
        "logging": [(logging.root.level, repr(logging.root.handlers), logging.root.manager.disable)],
        "loggers": {n: (l.level, repr(l.handlers), l.propagate) for n, l in logging.root.manager.loggerDict.items()
                    if isinstance(l, logging.Logger) and (l.handlers or n in before_loggers)},
        "locale": locale.setlocale(locale.LC_ALL),
        "folder": os.getcwd(),
        "threads": sorted(t.name for t in threading.enumerate()),
        "recursion": sys.getrecursionlimit(),
        "hooks": (repr(sys.excepthook), repr(threading.excepthook)),
        "umask": umask(),
    }
    if "numpy" in sys.modules:
        import numpy as np
        found["numpy"] = repr(np.random.get_state()), repr(np.geterr()), repr(np.get_printoptions())
    if "torch" in sys.modules:
        import torch
        found["torch"] = (
            torch.get_rng_state().tolist(), torch.get_num_threads(), torch.get_num_interop_threads(),
            str(torch.get_default_dtype()), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark, torch.backends.mkldnn.enabled, torch.get_float32_matmul_precision(),
        )
    return json.dumps(found, sort_keys=True)

def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

before_loggers = set(logging.root.manager.loggerDict)

def compare(before, after):
    before, after = json.loads(before), json.loads(after)
    changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    for key, (old, new) in changed.items():
        if isinstance(old, dict):
            names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            changed[key] = ({name: old.get(name) for name in names}, {name: new.get(name) for name in names})
    return changed
"""

SCAN = """
import sys, numpy, PIL, pandas, cv2, sklearn.linear_model, skimage.filters
before = state()
import facevalue as fv
changed = compare(before, state())
fv.scan_data(sys.argv[1])
print(json.dumps([changed, compare(before, state())]))
"""

SCAN_WITH_A_NETWORK = """
import sys, numpy, PIL, pandas, cv2, sklearn.linear_model, cleanlab, skimage.filters
from facevalue.models.networks import timm_body, torchvision_ready
torchvision_ready.ready()
import timm, torch
before = state()
import facevalue as fv
fv.scan_data(sys.argv[1], labels=True, network="small-cnn", weights="none")
print(json.dumps([{}, compare(before, state())]))
"""

PREDICT = """
import sys, numpy, PIL, onnxruntime
before = state()
import facevalue as fv
changed = compare(before, state())
predictor = fv.open(sys.argv[2])
predictor.predict(sys.argv[1])
print(json.dumps([changed, compare(before, state())]))
"""


@pytest.mark.parametrize("program", [SCAN, SCAN_WITH_A_NETWORK, PREDICT], ids=["scan", "labels", "predict"])
def test_a_call_changes_nothing_of_the_process(program: str, lfw: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", STATE + program, lfw, tmp_path / "model"],
        capture_output=True,
        text=True,
        env={**os.environ, "FACEVALUE_CACHE": str(tmp_path / "cache"), "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == [{}, {}], done.stdout


def test_the_check_above_sees_a_change() -> None:
    program = (
        STATE
        + """
import numpy
before = state()
import random, warnings, logging
random.seed(1); numpy.random.seed(1); warnings.simplefilter("ignore"); os.environ["X_Y"] = "1"
signal.signal(signal.SIGTERM, signal.SIG_IGN); logging.root.setLevel(1); os.chdir("/")
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(*sorted(compare(before, state())))
"""
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == "environment filters folder logging numpy random signals threads".split()
