"""The effect of ``probe.copy_consistency`` (a corrupted copy should score as its image), by kind of corruption.

As in ``sources_study``, LFW and StyleGAN2 are held out for testing; FFHQ and StyleGAN are cross-validated. Some images
of every source have corrupted copies: saved again as JPEG at two qualities, or shrunk first. Copies of a fold's
training images are used for the consistency loss, the others for testing. The recipe is ``real-or-ai/texture`` without
``quarter_consistency``. ``unseen-faces`` is not used. Run from the project's root: ``python -m
benchmarks.corruption_study``.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import keep, mean
from benchmarks.products import centred, ridge, scale
from benchmarks.real_or_ai_sources import HOME, TRAINED
from benchmarks.sources_study import FOLDS, LEFT_OUT, folds_of, sources
from facevalue.models.features import Change, Extractor
from facevalue.training.augmentation import corruption
from facevalue.training.recipe import read
from facevalue.training.settings import AugmentSettings

RECIPE = "real-or-ai/texture"
CORRUPTED = 100
"""Number of images of each source."""
ROUNDS = 2
COPIES = {
    "saved again": AugmentSettings(jpeg=30, corruption=1.0),
    "shrunk and saved again": AugmentSettings(jpeg=30, rescale=0.5, corruption=0.7),
}
ALIKE = (0.005, 0.02, 0.05, 0.2)
Saving = Callable[[Image.Image, np.random.Generator], Image.Image]


def saved(quality: int, smallest: float = 1.0) -> Saving:
    """Shrink each side to a share from ``smallest`` to 0.8 (not at all if ``smallest`` is 1), and save as JPEG."""

    def saving(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if smallest < 1:
            side = round(image.width * rng.uniform(smallest, 0.8))
            image = image.resize((side, side), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return saving


def as_training(settings: AugmentSettings) -> Saving:
    """Corrupt by these settings."""
    return lambda image, rng: corruption(image, settings, rng)


ASKED: dict[str, Saving] = {"q60": saved(60), "q40": saved(40), "shrunk, q60": saved(60, 0.5)}


def changed(saving: Saving, seed: int, side: int) -> Change:
    """Save every image of a batch again, with parameters drawn from its position and the seed."""

    def change(pixels: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
        done = [
            saving(Image.fromarray(one), np.random.default_rng((seed, int(place))))
            for one, place in zip(pixels, places, strict=True)
        ]
        return np.stack([np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) for image in done])

    return change


def main() -> None:
    classifier, chosen, source = sources(RECIPE)
    extractor, side, fold = Extractor(classifier), classifier.card.preprocessing.size, folds_of(source)
    of_each = [np.random.default_rng(1).permutation(np.flatnonzero(source == name))[:CORRUPTED] for name in TRAINED]
    some = np.sort(np.concatenate(of_each))
    parts = [extractor.features(chosen).numpy()]
    for seed, (how, saving) in enumerate(ASKED.items()):
        parts.append(extractor.features(chosen.take(some), how, changed(saving, seed, side)).numpy())
    n, m = len(chosen), len(some)
    for number, (how, settings) in enumerate(COPIES.items()):
        for part in range(ROUNDS):
            change = changed(as_training(settings), 100 + 10 * number + part, side)
            parts.append(extractor.features(chosen.take(some), how, change).numpy())
    rows = np.concatenate(parts)
    del parts
    scale(rows, rows[np.flatnonzero(~np.isin(source, LEFT_OUT))], classifier.body.kinds)
    differences = n + len(ASKED) * m  # from here on
    for start in range(differences, len(rows), m):
        rows[start : start + m] -= rows[some]
    table = rows @ rows.T
    del rows

    strength = read(RECIPE).probe.strengths[0]
    real = chosen.labels == 1
    goals = np.where(real, 1.0, -1.0)
    home, away = np.isin(source, HOME), np.isin(source, LEFT_OUT)

    def judged(number: int, copy_consistency: float) -> dict[str, float]:
        """Mean accuracy over the folds, by corruption of the test images."""
        each = []
        for held in range(FOLDS):
            learned = np.flatnonzero(~away & (fold != held))
            copied = np.flatnonzero(np.isin(some, learned))
            starts = [differences + (number * ROUNDS + part) * m for part in range(ROUNDS)]
            differences = (
                [(np.concatenate([start + copied for start in starts]), copy_consistency)] if copy_consistency else []
            )
            level = goals[learned].mean()
            asked = np.arange(differences)
            less = centred(table, learned, differences)
            scores = ridge(less, goals - level, learned, asked, strength, differences) + level
            figures = {}
            for i, how in enumerate(("clean", *ASKED)):
                places = np.arange(n) if how == "clean" else some
                told = scores[:n] > 0 if how == "clean" else scores[n + (i - 1) * m : n + i * m] > 0
                right, at_home = told == real[places], home[places] & (fold[places] == held)
                recalls = [right[away[places] & (real[places] == sign)].mean() for sign in (True, False)]
                figures |= {
                    f"home, {how}": float(right[at_home].mean()),
                    f"left out, {how}": float(np.mean(recalls)),
                }
            each.append(figures)
        return {key: mean([figures[key] for figures in each]) for key in each[0]}

    result = {"none": judged(0, 0.0)}
    for number, how in enumerate(COPIES):
        result |= {f"{how}, {copy_consistency:g}": judged(number, copy_consistency) for copy_consistency in ALIKE}
    settings_of = {
        "recipe": RECIPE,
        "folds": FOLDS,
        "left_out": LEFT_OUT,
        "corrupted_of_each": CORRUPTED,
        "rounds": ROUNDS,
    }
    keep("corruption_study", {**settings_of, "accuracy": result})


if __name__ == "__main__":
    main()
