"""A library call changes nothing of its host: no random state, thread, warning or allocator setting, no model."""

from __future__ import annotations

import locale
import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import facevalue as fv

TINY = {"network.options": {"widths": [8, 16]}, "fit.patience": 0}


def host() -> dict[str, Any]:
    return {
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "warnings": list(warnings.filters),
        "random": random.getstate(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "determinism": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "type": torch.get_default_dtype(),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "logging": (logging.root.level, list(logging.root.handlers)),
        "locale": locale.setlocale(locale.LC_ALL),
        "running": {t.name for t in threading.enumerate()},
        "numpy errors": np.geterr(),
    }


def state(model: fv.Classifier) -> dict[str, Any]:
    strides = {name: value.stride() for name, value in model.state_dict().items()}
    return {
        "modes": [module.training for module in model.modules()],
        "flags": [weight.requires_grad for weight in model.parameters()],
        "gradients": [None if weight.grad is None else weight.grad.clone() for weight in model.parameters()],
        "strides": strides,
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "devices": {str(value.device) for value in model.state_dict().values()},
        "card": model.card.to_json(),
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
    }


def same(before: Any, after: Any) -> bool:
    if isinstance(before, torch.Tensor):
        return torch.equal(before, after)
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(before[key], after[key]) for key in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


@pytest.fixture(scope="module")
def model(lfw: Path) -> fv.Classifier:
    return fv.train(lfw, recipe="scratch", size=24, epochs=1, settings=TINY)


def inverted(folder: Path) -> fv.ImageDataset:
    """A hard set: the same images as negatives."""
    data = fv.ImageDataset.from_folder(folder)
    pixels = [255 - np.asarray(data.upright(i)) for i in range(len(data))]
    return fv.ImageDataset.from_arrays(pixels, [data.classes[label] for label in data.labels])


VERBS: dict[str, Callable[[fv.Classifier, Path, Path], object]] = {
    "evaluate": lambda m, d, _: fv.evaluate(m, d),
    "evaluate_corruptions": lambda m, d, _: fv.evaluate_corruptions(m, d, limit=4),
    "evaluate_remade": lambda m, d, _: fv.evaluate_remade(m, d, limit=4),
    "evaluate_explanations": lambda m, d, _: fv.evaluate_explanations(m, d, limit=2),
    "certify": lambda m, d, _: fv.certify(m, d, limit=2, samples=10),
    "attack": lambda m, d, _: fv.attack(m, d, attacks=["pgd", "square"], eps=[2 / 255], limit=4),
    "defense": lambda m, d, _: fv.attack(m, d, defense="noise", eps=[2 / 255], limit=4),
    "predict": lambda m, d, _: fv.predict(m, d, heat=True),
    "predict_proba": lambda m, d, _: m.predict_proba(d / "face" / "face-000.png"),
    "explain": lambda m, d, to: fv.explain(m, [d / "face" / "face-000.png"], to / "heat"),
    "explain all": lambda m, d, to: fv.explain(m, [d / "face" / "face-000.png"], to / "all", method="all"),
    "feature-maps": lambda m, d, to: fv.explain(m, [d / "face" / "face-000.png"], to / "maps", method="feature-maps"),
    "export": lambda m, d, to: fv.export(m, to / "model.onnx", images=d),
    "calibrate": lambda m, d, _: fv.calibrate(m, d),
    "compare": lambda m, d, to: fv.compare([m], plot=to / "curves.png"),
    "save": lambda m, d, to: m.save(to / "model"),
    "train probe": lambda m, d, _: fv.train(d, recipe="probe", network="small-cnn", weights="none", size=24),
    "train scratch": lambda m, d, _: fv.train(d, recipe="scratch", size=24, epochs=1, settings=TINY),
    "train mixed": lambda m, d, _: fv.train(
        d, recipe="scratch", size=24, epochs=1, settings={**TINY, "augment.mixup": 0.2, "augment.noise": 0.1}
    ),
    "train fast": lambda m, d, _: fv.train(
        d, recipe="scratch", size=24, epochs=1, settings=TINY, adversarial="fast", eps=2 / 255
    ),
    "finetune": lambda m, d, _: fv.finetune(m, inverted(d)),
    "finetune stages": lambda m, d, _: fv.finetune(m, inverted(d), stages="all", epochs=1),
    "ensemble": lambda m, d, _: fv.ensemble(
        [m, fv.train(d, recipe="scratch", size=24, epochs=1, seed=1, settings=TINY)]
    ),
    "tune": lambda m, d, to: fv.tune(d, to / "study", trials=1, size=16, epochs=1, settings=TINY),
    "scan_data": lambda m, d, to: fv.scan_data(d, page=to / "page.html"),
    "prepare_data": lambda m, d, to: fv.prepare_data(d, to / "prepared", size=16),
    "augment_data": lambda m, d, to: fv.augment_data(d, to / "a.png", settings={"augment.flip": True}, size=16),
    "dataset": lambda m, d, _: fv.ImageDataset.from_folder(d, split="test")[0],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_leaves_host_and_model_as_they_were(verb: str, model: fv.Classifier, lfw: Path, tmp_path: Path) -> None:
    model.train()  # as in the middle of a training loop
    model.body.head.weight.grad = torch.ones_like(model.body.head.weight)
    for call in ("first", "second"):
        # States that no call could set by chance.
        torch.manual_seed(271828)
        random.seed(271828)
        np.random.seed(271828)  # noqa: NPY002
        (tmp_path / call).mkdir()
        before, kept = host(), state(model)
        VERBS[verb](model, lfw, tmp_path / call)
        after, now = host(), state(model)
        assert {key for key in kept if not same(kept[key], now[key])} == set()
        changed = {key for key in before if not same(before[key], after[key])} - {"running"}
        started = after["running"] - before["running"] - {"ThreadPoolExecutor"}
        if not changed and not started:
            return
        # Libraries that the first call imports may stay, with their threads and settings.
    assert (changed, started) == (set(), set())
