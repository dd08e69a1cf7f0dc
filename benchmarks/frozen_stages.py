"""Fine-tuning the last stages on a CPU: seconds of a training with the outputs of frozen stages kept, and without.

MobileNetV2 at 224 pixels, its last stages and its head, without augmentation, on photographs of people and objects.
Both sides train in one process, one after the other, from decoded images; the seconds are of the whole training, with
the pass that computes the outputs. The command line's setting of glibc's allocator is used for both.

Run from the project's root: ``python -m benchmarks.frozen_stages [IMAGES] [EPOCHS] [STAGES]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import keep, mobilenet
from benchmarks.finetune_speed import some_of
from benchmarks.gpu import pack
from facevalue.data.dataset import ImageDataset
from facevalue.support import machine
from facevalue.training import frozen_stages
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.loop import train_body
from facevalue.training.methods import new_classifier
from facevalue.training.plan import ValidationPlan
from facevalue.training.recipe import configured


def main(images: int = 200, epochs: int = 5, stages: int = 2) -> None:
    machine.keep_memory()
    settings = {
        "fit.stages": stages,
        "fit.patience": 0,
        **{f"augment.{name}": 0.0 for name in ("zoom", "shift", "brightness", "contrast")},
        "augment.flip": False,
    }
    named = {"network": "mobilenetv2_100", "weights": mobilenet(), "epochs": epochs, "batch_size": 16, "device": "cpu"}
    recipe = configured("finetune", named=named, settings=settings)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        whole, data = Path(folder) / "whole", Path(folder) / "data"
        pack(whole)
        some_of(whole, data, images)
        train, validation = (
            ImageDataset.from_folder(data / split).with_preprocessing(recipe.preprocessing()).held()
            for split in ("train", "validation")
        )
        for side, room in (("kept", frozen_stages.KEPT_BYTES), ("computed in every epoch", 0)):
            frozen_stages.KEPT_BYTES = room
            classifier = new_classifier(recipe, train.classes)
            place = Checkpoint(Path(folder) / side, {})
            start = time.perf_counter()
            _, lines = train_body(classifier, train, ValidationPlan(recipe, validation), recipe, place)
            found[side] = {
                "seconds": time.perf_counter() - start,
                "train_loss": [line["train_loss"] for line in lines],
                "validation_accuracy": [line["validation_accuracy"] for line in lines],
            }
    kept, plain = found["kept"], found["computed in every epoch"]
    pairs = zip(kept["train_loss"], plain["train_loss"], strict=True)
    keep(
        "frozen_stages",
        {
            "images": {"train": len(train), "validation": len(validation)},
            "epochs": epochs,
            "stages_trained": stages,
            "sides": found,
            "times_as_fast": plain["seconds"] / kept["seconds"],
            "largest_difference_in_loss": max(abs(a - b) for a, b in pairs),
        },
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
