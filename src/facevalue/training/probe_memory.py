"""How much memory a probe needs, said before the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from facevalue.evidence.findings import Finding, finding
from facevalue.support.machine import available_memory
from facevalue.training.recipe import Recipe

_REST = 850 * 2**20
"""Bytes of the program itself, its libraries and the images of a batch."""

_WITH_QUARTERS, _WITHOUT = 1000 * 2**20, 450 * 2**20
"""Bytes of an engine for images and their quarters, and for images alone (measured: MobileNetV2's texture network)."""


def bytes_needed(features: int, images: Mapping[str, int], recipe: Recipe) -> int:
    """An estimate of the most memory that a probe takes at once.

    Parameters
    ----------
    features : width of the layer before the last.
    images : their number by split.
    """
    settings, train = recipe.probe, images["train"]
    learned = sum(images[name] for name in images if name != "test") if recipe.refit else train
    others = sum(images.values()) - learned
    rows = 4 * learned if settings.quarter_consistency else learned
    rows += round(settings.copies * train) * (1 if settings.copy_consistency or not settings.quarter_consistency else 4)
    if settings.quarter_consistency or settings.copy_consistency:
        side = min(rows, features)
        fit = 2 * 4 * side**2  # products of rows or of features, in single precision, twice
    else:
        fit = 3 * 8 * rows * features  # the rows in double precision, centred and projected
    before_it, engine = 0, 0
    if settings.quarter_consistency:  # one engine after the other
        before_it, engine = 4 * features * rows + _WITH_QUARTERS, _WITHOUT
    at_the_fit = 4 * features * (rows + others) + fit + engine
    # Novelty takes the training features in double precision, when the differences are gone.
    after_it = 4 * features * (learned + others) + 8 * train * features + engine
    return max(before_it, at_the_fit, after_it) + _REST


def short_memory(needed: int) -> Iterator[Finding]:
    """A finding if this machine has less memory left than ``needed`` bytes."""
    there = available_memory()
    if there is not None and needed > there:
        text = (
            f"this training needs about {needed / 2**30:.1f} GiB of memory, but {there / 2**30:.1f} GiB are available: "
            "it may be killed; use fewer images, a network with fewer features, or a larger machine"
        )
        yield finding("memory-short", text, needed=needed, available=there)
