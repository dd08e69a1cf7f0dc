"""Fine-tuning on a GPU: images per second of ``facevalue``'s loop beside timm's usual loop, on the same card.

``python benchmarks/gpu.py pack OUT`` copies at most 25 MB of the measuring images into OUT, to carry to a machine.
``python benchmarks/gpu.py DATA RESULT.json [--weights FILE] [--device cuda] …`` measures there, with bfloat16, and with
and without ``torch.compile``. It needs no network and no installed facevalue: ``PYTHONPATH=src`` is enough.

DATA has ``train/`` and ``validation/``, with one folder per class. The images are repeated to make epochs long enough
to measure. Both sides train the same network from the same weights with AdamW on the same images, and validate after
every epoch; the first epoch, in which workers start and code is compiled, does not count.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NEEDED = (
    "torch torchvision timm lightning_fabric numpy PIL pandas pyarrow scipy sklearn safetensors msgspec filelock "
    "platformdirs"
).split()
PACK_BYTES, PACK = 24_000_000, ("human-or-object", "human", "object")
LR, DECAY, SIDE = 1e-4, 0.01, 224


def pack(out: Path) -> None:
    """Copy images of the measuring set, evenly from both classes, four fifths of them for training."""
    from benchmarks.common import data

    left = {name: sorted(data(PACK[0], name).rglob("*.jpg"))[::2] for name in PACK[1:]}
    for name, files in left.items():
        room = PACK_BYTES // len(left)
        for number, path in enumerate(files):
            size = path.stat().st_size
            if size > room:
                break
            room -= size
            folder = out / ("validation" if number % 5 == 4 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / f"{number:04d}.jpg")


def ours(options: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """Train with ``facevalue``'s loop, as the recipe ``finetune`` does after its head."""
    import numpy as np

    from facevalue.data.dataset import ImageDataset
    from facevalue.training.checkpoint import Checkpoint
    from facevalue.training.loop import train_body
    from facevalue.training.methods import new_classifier
    from facevalue.training.plan import ValidationPlan
    from facevalue.training.recipe import configured

    named = {
        "network": options.network,
        "weights": options.weights or "none",
        "size": SIDE,
        "lr": LR,
        "epochs": options.epochs,
        "batch_size": options.batch,
        "device": options.device,
        "compile": compiled,
    }
    more = {
        "fit.precision": options.precision,
        "fit.patience": 0,
        "fit.head_lr_factor": 1.0,
        "fit.class_weights": "none",
        "fit.freeze_batchnorm": False,
        "fit.keep": "last",
        "optimizer.weight_decay": DECAY,
        "schedule.name": "constant",
        "schedule.warmup_epochs": 0,
    }
    recipe = configured("finetune", named=named, settings=more)
    start = time.perf_counter()
    train, validation = (
        ImageDataset.from_folder(options.data / split).with_preprocessing(recipe.preprocessing()).held()
        for split in ("train", "validation")
    )
    once = len(train)
    train = train.take(np.tile(np.arange(once), options.repeat))
    read = time.perf_counter() - start
    classifier = new_classifier(recipe, train.classes)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "training", {})
        _, history = train_body(classifier, train, ValidationPlan(recipe, validation), recipe, checkpoint)
    return figures(
        [line["seconds"] for line in history],
        len(train) + len(validation),
        history[-1]["validation_accuracy"],
        {"seconds_to_decode_once": read},
    )


def timms(options: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """Train with the loop of timm's training script: its loaders, optimiser, automatic precision, channels last."""
    import torch
    from safetensors.torch import load_file

    if importlib.util.find_spec("facevalue") is not None:
        from facevalue.models.networks.torchvision_ready import ready

        ready()
    import timm
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    torch.manual_seed(0)
    device = torch.device(options.device)
    body = timm.create_model(options.network, num_classes=1000, **({"pad_type": "same"} if options.weights else {}))
    if options.weights:
        body.load_state_dict(load_file(options.weights))
    body.reset_classifier(2)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    body.to(device=device, memory_format=layout)
    optimizer = create_optimizer_v2(body, opt="adamw", lr=LR, weight_decay=DECAY)
    model = torch.compile(body) if compiled else body
    common = {
        "input_size": (3, SIDE, SIDE),
        "batch_size": options.batch,
        "use_prefetcher": device.type == "cuda",
        "interpolation": "bicubic",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "num_workers": options.workers,
        "device": device,
        "persistent_workers": options.workers > 0,
    }
    train, validation = (
        create_dataset("", root=str(options.data / split), split="train") for split in ("train", "validation")
    )
    loader = create_loader(
        Repeated(train, options.repeat),
        is_training=True,
        scale=(0.8, 1.0),
        ratio=(0.95, 1.05),
        hflip=0.5,
        color_jitter=0.1,
        **common,
    )
    held_out = create_loader(validation, is_training=False, crop_pct=1.0, **common)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")
    seconds, accuracy = [], 0.0
    for _ in range(options.epochs):
        start = time.perf_counter()
        model.train()
        for x, y in loader:
            x, y = x.to(device, memory_format=layout), y.to(device)
            with precision:
                loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        right = 0
        with torch.inference_mode(), precision:
            for x, y in held_out:
                x, y = x.to(device, memory_format=layout), y.to(device)
                right += int((model(x).argmax(1) == y).sum())
        accuracy = right / len(validation)
        seconds.append(time.perf_counter() - start)
    return figures(seconds, len(train) * options.repeat + len(validation), accuracy, {})


class Repeated:
    """A timm dataset several times over."""

    def __init__(self, dataset: Any, times: int) -> None:
        self.dataset, self.times = dataset, times

    def __len__(self) -> int:
        return len(self.dataset) * self.times

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index % len(self.dataset)]

    @property
    def transform(self) -> Any:
        """Timm's loader sets it."""
        return self.dataset.transform

    @transform.setter
    def transform(self, transform: Any) -> None:
        self.dataset.transform = transform


def figures(seconds: list[float], images: int, accuracy: float, more: dict[str, Any]) -> dict[str, Any]:
    """Images per second, trained and validated, without the first epoch."""
    counted = seconds[1:] or seconds
    return {
        "images_per_second": images / statistics.median(counted),
        "seconds_by_epoch": seconds,
        "images_by_epoch": images,
        "validation_accuracy": accuracy,
        **more,
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All sides in turn; one that would begin after ``options.seconds`` is left out, and named."""
    import torch

    begun, sides, left_out = time.perf_counter(), dict[str, Any](), list[str]()
    for name, side, compiled in plan(options):
        if time.perf_counter() - begun > options.seconds:
            left_out.append(name)
            continue
        try:
            sides[name] = side(options, compiled)
        except Exception as error:  # the other sides still tell something
            sides[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(name, json.dumps(sides[name])[:300], flush=True)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    rates = {name: one["images_per_second"] for name, one in sides.items() if "images_per_second" in one}
    return {
        "network": options.network,
        "size": SIDE,
        "batch": options.batch,
        "repeat": options.repeat,
        "workers_of_timm": options.workers,
        "precision": options.precision,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "sides": sides,
        "left_out_for_time": left_out,
        "ratio_to_timm": {
            mode: rates[f"facevalue{mode}"] / rates[f"timm{mode}"]
            for mode in ("", ", compiled")
            if f"facevalue{mode}" in rates and f"timm{mode}" in rates
        },
        "seconds": time.perf_counter() - begun,
    }


def plan(
    options: argparse.Namespace,
) -> Iterator[tuple[str, Callable[[argparse.Namespace, bool], dict[str, Any]], bool]]:
    """The sides, the most telling ones first."""
    if options.side in ("both", "facevalue"):
        yield "facevalue", ours, False
    if options.side in ("both", "timm"):
        yield "timm", timms, False
    if options.compile and options.side == "both":
        yield "facevalue, compiled", ours, True
        yield "timm, compiled", timms, True


def main() -> None:
    if sys.argv[1:2] == ["pack"]:
        pack(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--weights", default="")
    parser.add_argument("--network", default="mobilenetv2_100")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=170.0)
    parser.add_argument("--precision", choices=("bf16", "32"))
    parser.add_argument("--side", choices=("both", "facevalue", "timm"), default="both")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True, help="of timm's side")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    options.precision = options.precision or ("bf16" if options.device == "cuda" else "32")
    if importlib.util.find_spec("lightning_fabric") is None and importlib.util.find_spec("lightning") is not None:
        sys.modules["lightning_fabric"] = importlib.import_module("lightning.fabric")
    missing = [name for name in NEEDED if name not in sys.modules and importlib.util.find_spec(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", flush=True)
    result = {**measured(options), "not_installed": missing}
    options.result.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {options.result}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
