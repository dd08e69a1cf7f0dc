"""Augmentation: closed forms, repeatable, in range, blind to the label."""

import numpy as np
import pytest
import torch
from PIL import Image

from facevalue.models.features import to_tensor
from facevalue.training.augmentation import augment, corruption, mixed, random_remaking
from facevalue.training.settings import AugmentSettings

EVERYTHING = AugmentSettings(
    flip=True,
    rotation=0.2,
    zoom=0.2,
    shift=0.1,
    height=0.2,
    width=0.2,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    grey=0.5,
    jpeg=40,
    blur=1.5,
    rescale=0.5,
    randaugment=5,
    remake=0.5,
)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 6, 6, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((32, 32), Image.Resampling.BICUBIC)) for c in coarse])


def test_without_augmentation_images_are_unchanged(pixels: np.ndarray) -> None:
    assert torch.equal(augment(pixels, AugmentSettings(), 0, 0, np.arange(12)), to_tensor(pixels))


def test_flip_alone_mirrors_about_half_of_the_images_exactly(pixels: np.ndarray) -> None:
    x = to_tensor(pixels)
    many = [augment(pixels, AugmentSettings(flip=True), 0, epoch, np.arange(12)) for epoch in range(10)]
    mirrored = torch.stack([((y - x.flip(3)).abs().amax((1, 2, 3)) < 1e-5) for y in many])
    same = torch.stack([((y - x).abs().amax((1, 2, 3)) < 1e-5) for y in many])
    assert torch.equal(mirrored, ~same)
    assert 0.3 < mirrored.float().mean() < 0.7


def test_grey_takes_the_colour_of_its_share_of_the_images_and_leaves_the_rest(pixels: np.ndarray) -> None:
    luma = np.stack([np.asarray(Image.fromarray(s).convert("L").convert("RGB")) for s in pixels])
    always = augment(pixels, AugmentSettings(grey=1.0), 0, 0, np.arange(12))
    assert (always - to_tensor(luma)).abs().max() < 1.01 / 255  # Pillow rounds
    half = [augment(pixels, AugmentSettings(grey=0.5), 0, epoch, np.arange(12)) for epoch in range(10)]
    greyed = torch.stack([(y == always).all(3).all(2).all(1) for y in half])
    same = torch.stack([(y == to_tensor(pixels)).all(3).all(2).all(1) for y in half])
    assert torch.equal(greyed, ~same)
    assert 0.35 < greyed.float().mean() < 0.65
    assert torch.equal(augment(luma, AugmentSettings(grey=1.0), 0, 0, np.arange(12)), to_tensor(luma))


def test_a_shift_moves_by_at_most_its_share() -> None:
    dot = np.zeros((1, 33, 33, 3), np.uint8)
    dot[0, 16, 16] = 255
    moved = []
    for epoch in range(40):
        y = augment(dot, AugmentSettings(shift=0.25), 0, epoch, np.arange(1))[0, 0]
        total = y.sum()
        moved.append([float((y.sum(1 - a) * torch.arange(33)).sum() / total) - 16 for a in (0, 1)])
    assert 6 < np.abs(moved).max() <= 0.25 * 33 + 0.01


def test_the_same_seed_gives_the_same_augmentation_for_any_batch_size(pixels: np.ndarray) -> None:
    whole = augment(pixels, EVERYTHING, 3, 5, np.arange(12))
    parts = torch.cat([augment(pixels[i : i + 5], EVERYTHING, 3, 5, np.arange(12)[i : i + 5]) for i in (0, 5, 10)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, augment(pixels, EVERYTHING, 3, 6, np.arange(12)))
    assert not torch.equal(whole, augment(pixels, EVERYTHING, 4, 5, np.arange(12)))


def test_it_stays_in_range_and_leaves_torchs_generator_alone(pixels: np.ndarray) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    y = augment(pixels, EVERYTHING, 0, 0, np.arange(12))
    assert torch.equal(torch.rand(3), expected)
    assert y.shape == (12, 3, 32, 32)
    assert 0 <= y.min() <= y.max() <= 1


def test_corruption_by_jpeg_quality() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    always = AugmentSettings(jpeg=10, corruption=1.0)
    distance = [
        np.abs(np.asarray(corruption(image, always, rng)).astype(int) - np.asarray(image)).mean() for _ in range(9)
    ]
    assert min(distance) > 1
    assert np.ptp(distance) > 5  # qualities differ
    never = AugmentSettings(jpeg=10, corruption=0.0)
    assert corruption(image, never, rng) is image


def test_remade_images_keep_what_they_show_and_lose_fine_detail() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)).astype(float)
    fine = np.uint8((smooth + rng.normal(0, 30, smooth.shape)).clip(0, 255))
    made = [np.asarray(random_remaking(Image.fromarray(fine), rng)).astype(float) for _ in range(30)]
    assert len({one.tobytes() for one in made}) == 30
    assert max(np.abs(one - smooth).mean() for one in made) < 40
    kept = [np.corrcoef((one - smooth).ravel(), (fine - smooth).ravel())[0, 1] for one in made]
    assert min(kept) < 0.5 < max(kept)


def test_remaking_takes_the_share_asked_for_and_alters_no_other_draw(pixels: np.ndarray) -> None:
    indices = np.arange(12)
    plain = to_tensor(pixels)
    half = augment(pixels, AugmentSettings(remake=0.5), 3, 0, indices)
    changed = (half != plain).flatten(1).any(1)
    assert 2 <= int(changed.sum()) <= 10
    assert torch.equal(augment(pixels[4:6], AugmentSettings(remake=0.5), 3, 0, indices[4:6]), half[4:6])
    flipped = augment(pixels, AugmentSettings(flip=True), 3, 0, indices)
    both = augment(pixels, AugmentSettings(flip=True, remake=0.5), 3, 0, indices)
    assert torch.allclose(both[~changed], flipped[~changed], atol=1 / 255)


def test_mixing_gives_shares_that_sum_to_one(pixels: np.ndarray) -> None:
    x, y = to_tensor(pixels), torch.arange(12) % 3
    for settings in (AugmentSettings(mixup=0.4), AugmentSettings(cutmix=1.0), AugmentSettings(mixup=1, cutmix=1)):
        torch.manual_seed(1)
        mixed_x, shares = mixed(x, y, 3, settings)
        assert mixed_x.shape == x.shape
        assert shares.shape == (12, 3)
        assert torch.allclose(shares.sum(1), torch.ones(12))
        assert ((shares > 0).sum(1) <= 2).all()
