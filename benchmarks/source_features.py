"""Features of real and AI faces by source, which ``known_sources*`` and ``stacked_features`` read.

Writes ``FOLDER/clip.npz`` and ``FOLDER/texture.npz``: ``x`` (n, v, d) float16, ``label``, ``source``, ``top`` and
``path`` (n,), and ``versions`` (v,): each image as it is, saved as JPEG q60 and q40, and re-made at random in three
ways. CLIP's features are those of ``real-or-ai/families`` and texture's those of ``real-or-ai/texture``, both of whole
images. Texture has about forty thousand numbers an image; they are standardised by images of the sources that are
learned from (not ``unseen-faces``), and projected at random to 1,024.

All 2,230 images in six versions take one to two hours on two cores. Each source is kept when it is done, so a stopped
run goes on. Run from the project's root: ``python -m benchmarks.source_features CLIP.safetensors FOLDER [--each N]``.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.common import data, mobilenet
from facevalue.images.decoding import decode
from facevalue.images.remaking import Jpeg, Resized
from facevalue.images.resize import FILTERS
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor
from facevalue.support import files
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read

VERSIONS = ("clean", "q60", "q40", "a", "b", "c")
PROJECTED = 1024
KINDS_POWER = 0.25
"""A kind of texture features with many numbers weighs less: each number is divided by this power of their count."""


class Source(NamedTuple):
    """Folder of the measuring set, name of the source, and most images of it."""

    folder: str
    name: str
    most: int

    @property
    def label(self) -> str:
        return self.folder.split("/")[1]

    @property
    def top(self) -> str:
        return self.folder.split("/")[0]

    def paths(self, each: int | None) -> list[Path]:
        """The images that are used, drawn once and for all; the first ``each`` of them."""
        found = sorted(path for path in data(*self.folder.split("/")).iterdir() if path.is_file())
        random.Random(0).shuffle(found)
        return sorted(found[: self.most][:each])


SOURCES = (
    Source("faces-by-source/ai/stable-diffusion-2.1", "stable-diffusion-2.1", 200),
    Source("faces-by-source/ai/stylegan2-omi", "stylegan2-omi", 200),
    Source("faces-by-source/real/lfw", "lfw", 200),
    Source("faces-by-source/real/utkface", "utkface", 200),
    Source("faces-more-sources/ai/flux-pollinations", "flux-pollinations", 100),
    Source("faces-more-sources/ai/stable-diffusion-2.1", "stable-diffusion-2.1-saved", 60),
    Source("faces-more-sources/real/mebeauty", "mebeauty", 150),
    Source("real-or-ai-face/ai", "stylegan1", 200),
    Source("real-or-ai-face/real", "ffhq", 200),
    Source("unseen-faces/ai/stable-diffusion-2.1", "stable-diffusion-2.1", 150),
    Source("unseen-faces/ai/stylegan2-omi", "stylegan2-omi", 150),
    Source("unseen-faces/real/utkface", "utkface", 150),
    Source("faces-more-sources/ai/pggan-celebahq", "pggan-celebahq", 50),
    Source("faces-more-sources/ai/stylegan3", "stylegan3", 100),
    Source("faces-more-sources/real/celebahq", "celebahq", 120),
)


def versions(path: Path) -> Iterator[Image.Image]:
    """An image in each of :data:`VERSIONS`; the random ones depend on its name alone."""
    image = decode(path.read_bytes())
    rng = np.random.default_rng(sum(map(ord, path.name)) * 7919)
    filters = tuple(FILTERS)

    def resized() -> Image.Image:
        factor = rng.uniform(0.4, 1.5)
        return Resized(filters[rng.integers(5)], factor).apply(image)

    yield image
    yield Jpeg(60).apply(image)
    yield Jpeg(40).apply(image)
    yield Jpeg(int(rng.integers(30, 96))).apply(image)
    yield resized()
    smaller = resized()
    yield Jpeg(int(rng.integers(40, 96))).apply(smaller)


def of_paths(extractor: Extractor, paths: Iterable[Path], n: int, what: str) -> Tensor:
    """(n * v, d) features of all versions of the images."""
    inputs = (extractor.preprocessing.of(image) for image in chain.from_iterable(map(versions, paths)))
    return extractor.of_inputs(inputs, n * len(VERSIONS), what)


def extractor_of(recipe: str, weights: str) -> tuple[Extractor, Classifier]:
    classifier = new_classifier(read(recipe, {"network.weights": weights, "gate.kind": "none"}), ("ai", "real"))
    return Extractor(classifier, expected=10_000), classifier


def projection(
    extractor: Extractor, kinds: tuple[int, ...], folder: Path, each: int | None
) -> Callable[[Tensor], Tensor]:
    """Standardises texture features, by every second image that is learned from, and projects them."""
    path = folder / "texture-scale.npz"
    if not path.exists():
        images = [image for one in SOURCES if one.top != "unseen-faces" for image in one.paths(each)][::2]
        inputs = (extractor.preprocessing.of(image) for image in images)
        x = extractor.of_inputs(inputs, len(images), "computing texture features to standardise by")
        with files.replacing_file(path) as partial, partial.open("wb") as stream:
            np.savez(stream, mean=x.mean(0).numpy(), deviation=x.std(0).numpy())
    found = np.load(path)
    mean, deviation = torch.from_numpy(found["mean"]), torch.from_numpy(found["deviation"])
    counts = torch.tensor(kinds)
    # The floor keeps a nearly constant number from being scaled up.
    unit = (deviation.square() + 1e-6 * deviation.square().mean()).sqrt()
    unit *= torch.repeat_interleave(counts.float() ** KINDS_POWER, counts)
    drawn = torch.randn(len(mean), PROJECTED, generator=torch.Generator().manual_seed(0)) / PROJECTED**0.5
    return lambda x: ((x - mean) / unit) @ drawn


def compute(name: str, recipe: str, weights: str, folder: Path, each: int | None) -> None:
    """Write ``name.npz``, source by source."""
    extractor, classifier = extractor_of(recipe, weights)
    kept: Callable[[Tensor], Tensor] = lambda x: x  # noqa: E731 - the other one is a closure
    if name == "texture":
        kept = projection(extractor, classifier.body.kinds, folder, each)
    parts: list[NDArray[np.float16]] = []
    for source in SOURCES:
        paths, path = source.paths(each), folder / f"{name}-{source.top}-{source.name}.npy"
        if not path.exists():
            x = kept(of_paths(extractor, paths, len(paths), f"computing {name} of {source.folder}"))
            with files.replacing_file(path) as partial, partial.open("wb") as stream:
                np.save(stream, x.reshape(len(paths), len(VERSIONS), -1).half().numpy())
        parts.append(np.load(path))
        assert len(parts[-1]) == len(paths), f"{path} is of another number of images; remove it"
        print(f"{name}: {source.folder}, {len(paths)} images", flush=True)
    counts = [len(part) for part in parts]
    np.savez(
        folder / f"{name}.npz",
        x=np.concatenate(parts),
        label=np.repeat([one.label for one in SOURCES], counts),
        source=np.repeat([one.name for one in SOURCES], counts),
        top=np.repeat([one.top for one in SOURCES], counts),
        path=np.array([f"{one.folder}/{path.name}" for one in SOURCES for path in one.paths(each)]),
        versions=np.array(VERSIONS),
    )


def main(weights: str, folder: Path, each: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    compute("clip", "real-or-ai/families", weights, folder, each)
    compute("texture", "real-or-ai/texture", mobilenet(), folder, each)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", help="CLIP's weights, a .safetensors file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, help="use only so many images of each source")
    given = parser.parse_args()
    main(given.weights, given.folder, given.each)
