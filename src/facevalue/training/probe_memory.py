"""How much memory a probe needs, said before the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from facevalue.evidence.findings import Finding, finding
from facevalue.support.machine import available_memory
from facevalue.training.recipe import Recipe

_REST = 700 * 2**20
"""Bytes of the program itself, its libraries and the images of a batch."""

_QUARTERS = 1500 * 2**20
"""Bytes of an engine that computes images and their quarters at two sizes (measured: MobileNetV2's texture network)."""


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
    at_the_fit = 4 * features * (rows + others) + fit
    # Novelty takes the training features in double precision, when the differences are gone.
    after_it = 4 * features * (learned + others) + 3 * 8 * train * features
    return max(at_the_fit, after_it) + _REST + (_QUARTERS if settings.quarter_consistency else 0)


def short_memory(needed: int) -> Iterator[Finding]:
    """A finding if this machine has less memory left than ``needed`` bytes."""
    there = available_memory()
    if there is not None and needed > there:
        text = (
            f"this training needs about {needed / 2**30:.1f} GiB of memory, but {there / 2**30:.1f} GiB are available: "
            "it may be killed; use fewer images, a network with fewer features, or a larger machine"
        )
        yield finding("memory-short", text, needed=needed, available=there)
