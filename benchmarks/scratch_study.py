"""Why networks from scratch stay at chance on real or AI faces, and which changes help.

One choice of ``real-or-ai/inception-scratch`` is changed at a time. Run from the project's root:
``python -m benchmarks.scratch_study [NAME …] [--seeds 0,1,2] [--data DIR]``.
"""

from __future__ import annotations

from benchmarks.choices import study

CHOICES: dict[str, tuple[str, ...]] = {
    "5 epochs": ("--epochs", "5"),
    "20 epochs": ("--epochs", "20"),
    "60 epochs": ("--epochs", "60"),
    "60 epochs, images as they are": ("--epochs", "60", "--set", "augment.mixup=0"),
    "60 epochs, neither mixed nor moved": (
        *("--epochs", "60", "--set", "augment.mixup=0", "--set", "augment.flip=false", "--set", "augment.shift=0"),
    ),
    "60 epochs at a rate of 1e-2": ("--epochs", "60", "--lr", "1e-2"),
    "60 epochs at 64 pixels": ("--epochs", "60", "--size", "64"),
}


def main() -> None:
    study("scratch_study", "real-or-ai/inception-scratch", CHOICES, "real-or-ai-face", __doc__, "--gate", "none")


if __name__ == "__main__":
    main()
