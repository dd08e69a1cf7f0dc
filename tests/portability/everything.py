"""Import every module, then use the verbs that read and write files. Run by windows.py."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
from pathlib import Path

import numpy as np
import torch

import facevalue as fv
from facevalue.cli import main
from facevalue.images.input_cache import cached
from facevalue.images.preprocessing import Preprocessing
from facevalue.training.checkpoint import Checkpoint, State


def import_all() -> int:
    """Every module of the package."""
    names = [module.name for module in pkgutil.walk_packages(fv.__path__, "facevalue.")]
    for name in names:
        if name != "facevalue.__main__":
            importlib.import_module(name)
    return len(names)


def shell(*arguments: object) -> None:
    """A command, in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{arguments} ended with {end.code}") from end


def cache_of_inputs(folder: Path) -> None:
    """Read, by several readers; damaged while it is open; made anew."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    names = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    for _ in range(2):
        first, second = (cached(names, Preprocessing(size=16), pixels.__getitem__, folder, 10**7) for _ in range(2))
        assert first is not None
        assert second is not None
        np.testing.assert_array_equal([second.get(name) for name in names], pixels)
        del second
        with first.path.open("r+b") as stream:
            stream.seek(-10, 2)
            stream.write(b"damaged")
        assert first.get(max(names)) is None
        assert not first.path.exists()


def checkpoint(folder: Path) -> None:
    """Written, read, and replaced while what was read is in use."""
    weights = {"w": torch.ones(4)}
    kept = Checkpoint(folder, {"run": "identity"})
    kept.save(State(weights, weights, {"state": {}, "param_groups": []}, []))
    found = kept.load()
    assert found is not None
    kept.save(found)
    kept.clear()
    assert not folder.exists()


def everything(data: Path, odd: Path, work: Path) -> None:
    """Use the package as its users do, in folders whose names hold spaces, on an image whose name Windows forbids."""
    assert import_all() > 150
    cache_of_inputs(work / "inputs")
    checkpoint(work / "model.training")
    folder, small = work / "a model", {"network.options": {"widths": [8, 16]}, "fit.patience": 0}
    fv.train(data, folder, recipe="scratch", size=24, epochs=2, settings=small)
    (prediction,) = fv.open(folder).predict(odd)
    assert prediction.error is None
    shell("predict", folder, odd, "--csv", work / "a.csv", "--json", work / "a.json")
    shell("evaluate", folder, data)
    shell("explain", folder, odd, *sorted(data.rglob("*.png"))[:4], "-o", work / "explained")
    shell("export", folder, "-o", work / "other.onnx")
    shell(
        "attack",
        folder,
        data,
        "--attacks",
        "fgsm",
        "--eps",
        "4/255",
        "--limit",
        8,
        "--save-images",
        work / "adversarial",
    )
    shell("data", "scan", data)
    shell("data", "prepare", data, "-o", work / "prepared", "--size", 24)
    probe = ["--recipe", "probe", "--size", 24, "--network", "small-cnn", "--weights", "none"]
    shell("train", work / "prepared", "-o", work / "probe", *probe)
    shell("calibrate", work / "probe", work / "prepared", "-o", work / "calibrated")
    shell("train", work / "prepared", "-o", work / "probe", *probe, "--overwrite")  # what was read is replaced


if __name__ == "__main__":
    everything(*map(Path, sys.argv[1:]))
    print("done")
