"""Random changes to training images by the recipe's ``[augment]`` table. They do not depend on the label.

The change of an image is drawn from (seed, epoch, index of the image), so a resumed run repeats it exactly.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from facevalue.images.remaking import Jpeg, Resized, WebP
from facevalue.images.resize import FILTERS, resize
from facevalue.models.features import to_pixels, to_tensor
from facevalue.models.networks import torchvision_ready
from facevalue.support.machine import in_order
from facevalue.training.foreground import ForegroundMasks
from facevalue.training.settings import AugmentSettings

_GREY = (0.299, 0.587, 0.114)


def augment(
    pixels: NDArray[np.uint8],
    settings: AugmentSettings,
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    foreground: ForegroundMasks | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Augmented images: (n, s, s, 3) uint8 to (n, 3, s, s) float in [0, 1]; ``noise`` may go slightly beyond.

    Parameters
    ----------
    indices : (n,) positions of the images in the training split.
    foreground : masks of the whole training split; needed for ``background``.
    device : where the images are changed, except for what Pillow does.
    """
    rngs = [np.random.default_rng((seed, epoch, int(i))) for i in indices]
    x = to_tensor(pixels, device)
    masks = None
    if settings.background:
        if foreground is None:
            raise ValueError("augment.background needs the foreground masks of the training split")
        masks = torch.from_numpy(foreground.masks(indices, x.shape[-1])).unsqueeze(1).to(device)
    if any((settings.flip, settings.rotation, settings.zoom, settings.shift, settings.height, settings.width)):
        x, masks = _warped(x, masks, settings, rngs)
    if masks is not None:
        # After the warp: the pixels that come in from outside the image are background too.
        x = _alone(x, masks, settings.background, (seed, epoch), indices)
    if settings.grey:
        x = _greyed(x, settings.grey, (seed, epoch), indices)
    if any((settings.brightness, settings.contrast, settings.saturation)):
        x = _coloured(x, settings, rngs)
    if any((settings.jpeg, settings.blur, settings.rescale, settings.randaugment)):
        x = _per_image(x, settings, rngs)
    if settings.remake:
        x = _remade(x, settings.remake, (seed, epoch), indices)
    if settings.noise:
        noise = np.stack([rng.standard_normal(x.shape[1:], np.float32) for rng in rngs])
        x = x + settings.noise * torch.from_numpy(noise).to(device)
    return x


def _alone(x: Tensor, masks: Tensor, share: float, run: tuple[int, int], indices: NDArray[np.int64]) -> Tensor:
    """Replace the background of some images by a uniform grey; levels near black and white are drawn more often."""
    # A separate random stream, so that this setting does not alter the other changes of an image.
    draws = np.array([np.random.default_rng((*run, int(i), 1)).random(2) for i in indices], np.float32)
    chosen, grey = (torch.from_numpy(column).to(x.device).view(-1, 1, 1, 1) for column in draws.T.copy())
    return torch.lerp(x, 0.5 - 0.5 * torch.cos(torch.pi * grey), (1 - masks) * (chosen < share))


def _warped(
    x: Tensor, masks: Tensor | None, settings: AugmentSettings, rngs: list[np.random.Generator]
) -> tuple[Tensor, Tensor | None]:
    """All geometric changes as one bilinear warp of the images and their foreground masks."""
    maps = np.empty((len(rngs), 2, 3), np.float32)
    for row, rng in zip(maps, rngs, strict=True):
        flip, rotation, zoom, height, width, right, down = rng.uniform(-1, 1, 7)
        angle = 2 * math.pi * settings.rotation * rotation
        zoomed = 1 + settings.zoom * zoom
        wide = zoomed * (1 + settings.width * width) * (-1 if settings.flip and flip < 0 else 1)
        high = zoomed * (1 + settings.height * height)
        # From output to input coordinates, both in [-1, 1]; a shift by the whole side is 2.
        row[:, :2] = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * [wide, high]
        row[:, 2] = 2 * settings.shift * np.array([right, down])
    grid = torch.nn.functional.affine_grid(torch.from_numpy(maps).to(x.device), list(x.shape), align_corners=False)
    if masks is not None:
        masks = torch.nn.functional.grid_sample(masks, grid, padding_mode="zeros", align_corners=False)
    if settings.fill == "mirror":
        return torch.nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False), masks
    plain = torch.tensor([rng.random() for rng in rngs], dtype=x.dtype, device=x.device).view(-1, 1, 1, 1)
    warped = torch.nn.functional.grid_sample(x - plain, grid, padding_mode="zeros", align_corners=False) + plain
    return warped, masks


def _grey(x: Tensor) -> Tensor:
    """(n, 3, h, w) to (n, 1, h, w)."""
    return (x * torch.tensor(_GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _greyed(x: Tensor, share: float, run: tuple[int, int], indices: NDArray[np.int64]) -> Tensor:
    """Remove the colour of some images. Grey images stay identical, bit for bit."""
    draws = np.array([np.random.default_rng((*run, int(i), 2)).random() for i in indices])  # a separate random stream
    coloured = (x != x[:, :1]).flatten(1).any(1)
    return torch.where((torch.from_numpy(draws < share).to(x.device) & coloured).view(-1, 1, 1, 1), _grey(x), x)


def _coloured(x: Tensor, settings: AugmentSettings, rngs: list[np.random.Generator]) -> Tensor:
    draws = np.array([rng.uniform(-1, 1, 3) for rng in rngs], np.float32)
    by = 1 + draws * np.array([settings.brightness, settings.contrast, settings.saturation], np.float32)
    brightness, contrast, saturation = (
        torch.from_numpy(column).to(x.device).view(-1, 1, 1, 1) for column in by.T.copy()
    )
    x = x * brightness
    grey = _grey(x)
    x = grey + (x - grey) * saturation
    mean = grey.mean((2, 3), keepdim=True)
    return (mean + (x - mean) * contrast).clamp(0, 1)


def _per_image(x: Tensor, settings: AugmentSettings, rngs: list[np.random.Generator]) -> Tensor:
    """The changes that work on Pillow images: compression, blur, rescaling, RandAugment."""
    images = [Image.fromarray(pixels) for pixels in to_pixels(x)]
    if settings.randaugment:
        images = [_randaugmented(image, settings.randaugment, rng) for image, rng in zip(images, rngs, strict=True)]
    done = in_order(lambda pair: corruption(pair[0], settings, pair[1]), list(zip(images, rngs, strict=True)))
    return to_tensor(np.stack([np.asarray(image) for image in done]), x.device)


def corruption(image: Image.Image, settings: AugmentSettings, rng: np.random.Generator) -> Image.Image:
    """Random corruption as in everyday use: rescaling, blur and JPEG, each with the probability of the settings."""
    rescale, blur, jpeg = rng.random(3) < settings.corruption
    amounts = rng.random(3)
    if settings.rescale and rescale:
        share = 1 - settings.rescale * amounts[0]
        small = tuple(max(1, round(side * share)) for side in image.size)
        shrunk = resize(image, (small[0], small[1]), Image.Resampling.BICUBIC)
        image = resize(shrunk, image.size, Image.Resampling.BICUBIC)
    if settings.blur and blur:
        image = image.filter(ImageFilter.GaussianBlur(float(settings.blur * amounts[1])))
    if settings.jpeg and jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=round(settings.jpeg + (95 - settings.jpeg) * amounts[2]))
        image = Image.open(buffer).convert("RGB")
    return image


def _remade(x: Tensor, share: float, run: tuple[int, int], indices: NDArray[np.int64]) -> Tensor:
    """Re-make some images as other programs do."""
    # A separate random stream, so that this setting does not alter the other changes of an image.
    rngs = [np.random.default_rng((*run, int(i), 3)) for i in indices]
    images = list(zip(map(Image.fromarray, to_pixels(x)), rngs, strict=True))
    done = in_order(lambda pair: random_remaking(*pair) if pair[1].random() < share else pair[0], images)
    return to_tensor(np.stack([np.asarray(image) for image in done]), x.device)


def random_remaking(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The image, resampled by a random filter and back by another, in half of the cases saved as JPEG or WebP.

    The factor is drawn evenly on a logarithmic scale from 0.3 to 1.5, the JPEG quality from 40 to 95.
    """
    names = list(FILTERS)
    there, back = (names[int(rng.integers(len(names)))] for _ in range(2))
    factor = float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
    made = resize(Resized(there, factor).apply(image), image.size, FILTERS[back])
    kind, quality = rng.random(), round(rng.uniform(40, 95))
    if kind < 0.2:
        return Jpeg(quality, "4:2:0").apply(made)
    if kind < 0.4:
        return Jpeg(quality, "4:4:4").apply(made)
    return WebP(quality).apply(made) if kind < 0.5 else made


def _randaugmented(image: Image.Image, strength: int, rng: np.random.Generator) -> Image.Image:
    torchvision_ready.ready()
    from torchvision.transforms import v2

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        changed: Image.Image = v2.RandAugment(num_ops=2, magnitude=strength, num_magnitude_bins=11)(image)
    return changed


def mixed(x: Tensor, y: Tensor, classes: int, settings: AugmentSettings) -> tuple[Tensor, Tensor]:
    """MixUp or CutMix of a batch, one of them at random if both are on; labels become (n, k) soft labels.

    Draws from torch's global generator.
    """
    torchvision_ready.ready()
    from torchvision.transforms import v2

    choices = []
    if settings.mixup:
        choices.append(v2.MixUp(alpha=float(settings.mixup), num_classes=classes))
    if settings.cutmix:
        choices.append(v2.CutMix(alpha=float(settings.cutmix), num_classes=classes))
    chosen = choices[int(torch.randint(len(choices), ()))]
    both: tuple[Tensor, Tensor] = chosen(x, y)
    return both
