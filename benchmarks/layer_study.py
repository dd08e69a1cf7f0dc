"""The effect of each choice in the small CNN: layers, filters, kernels, dropout, L2, early stopping, plateau.

One choice is changed at a time, on the official grey split of horse-or-human, and compared on validation (split off
train by rendering). The official images choose nothing; their figures are in the results for information only.

Run from the project's root: ``python -m benchmarks.layer_study [NAME …] [--epochs N] [--seeds 0,1,2] [--data DIR]``.
"""

from __future__ import annotations

from benchmarks.choices import study

RECIPE = "horse-or-human/cnn"


def options(**changed: object) -> tuple[str, ...]:
    """Settings of the network, as ``--set`` takes them."""
    return tuple(part for name, value in changed.items() for part in ("--set", f"network.options.{name}={value}"))


CHOICES: dict[str, tuple[str, ...]] = {
    "as published": (),
    "two layers": options(widths=[16, 32]),
    "four layers": options(widths=[16, 32, 64, 64]),
    "half the filters": options(widths=[8, 16, 32]),
    "twice the filters": options(widths=[32, 64, 128]),
    "5 x 5 kernels": options(kernel=5),
    "dense 128": options(dense=128),
    "dropout 0.5": options(dropout=0.5),
    "L2 1e-3": ("--set", "optimizer.weight_decay=1e-3"),
    "early stopping": ("--set", "fit.patience=3"),
    "reduce on plateau": ("--set", 'schedule.name="plateau"', "--set", "schedule.factor=0.3"),
    "dropout, L2, early stopping and plateau": (
        *options(dropout=0.5),
        *("--set", "optimizer.weight_decay=1e-3", "--set", "fit.patience=3"),
        *("--set", 'schedule.name="plateau"', "--set", "schedule.factor=0.3"),
    ),
}


def main() -> None:
    study("layer_study", RECIPE, CHOICES, "horse-or-human-grey100", __doc__, "--groups", r"stem:^([a-z]+\d+)")


if __name__ == "__main__":
    main()
