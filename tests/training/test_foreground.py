"""Foreground masks of drawn images, and replaced backgrounds."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from facevalue.models.features import to_tensor
from facevalue.training.augmentation import augment
from facevalue.training.foreground import SIDE, ForegroundMasks, find, foreground_mask
from facevalue.training.settings import AugmentSettings

S = 96
ALONE = AugmentSettings(background=1.0)


def disc(seed: int, grey: bool) -> tuple[np.ndarray, np.ndarray]:
    """A textured disc on softly textured ground, and where it is at ``SIDE``."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(140, 200, (12, 12, 3), np.uint8)).resize((S, S), Image.Resampling.BICUBIC)
    body = Image.fromarray(rng.integers(20, 90, (24, 24, 3), np.uint8)).resize((S, S), Image.Resampling.BICUBIC)
    mask = Image.new("L", (S, S))
    ImageDraw.Draw(mask).ellipse((26, 20, 74, 76), fill=255)
    ground.paste(body, mask=mask.filter(ImageFilter.GaussianBlur(0.7)))
    if grey:
        ground = ground.convert("L").convert("RGB")
    return np.asarray(ground), np.asarray(mask.resize((SIDE, SIDE))) > 127


@pytest.mark.parametrize("grey", [False, True])
def test_the_foreground_mask_overlaps_the_true_one(grey: bool) -> None:
    for seed in range(4):
        pixels, truth = disc(seed, grey)
        found = foreground_mask(pixels)
        assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_a_foreground_that_reaches_the_lower_edge_is_kept() -> None:
    ground = disc(1, True)[0].copy()
    ground[20:, 36:60] = np.random.default_rng(0).integers(20, 60, (S - 20, 24, 1), np.uint8)
    found = foreground_mask(ground)
    assert found[-2:].any()
    assert not found[:, :2].any()
    assert not found[:2].any()


def test_the_foreground_is_never_empty_or_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):  # ground all over: nothing stands out from it
        small = Image.fromarray(rng.integers(0, 255, (9, 9), np.uint8)).convert("RGB")
        found = foreground_mask(np.asarray(small.resize((S, S), Image.Resampling.BICUBIC)))
        assert 0.03 <= found.mean() <= 0.9
        assert found[SIDE // 2, SIDE // 2]


def test_a_plain_image_is_all_foreground() -> None:
    for level in (0, 130, 255):
        assert foreground_mask(np.full((S, S, 3), level, np.uint8)).all()


def test_foreground_masks_are_deterministic_for_any_batch_size() -> None:
    pixels = np.stack([disc(seed, seed % 2 == 0)[0] for seed in range(6)])
    once, again = find([pixels], 6), find([pixels[:4], pixels[4:]], 6)
    indices = np.array([5, 0, 3])
    assert np.array_equal(once.masks(indices, S), again.masks(indices, S))
    alone = (
        np.asarray(Image.fromarray(foreground_mask(pixels[5]).astype(np.uint8) * 255).resize((S, S), 2), np.float32)
        / 255
    )
    assert np.array_equal(once.masks(indices, S)[0], alone)


def test_the_foreground_stays_and_the_background_is_one_grey() -> None:
    pixels = np.stack([disc(seed, False)[0] for seed in range(6)])
    found, indices = find([pixels], 6), np.arange(6)
    x, y = to_tensor(pixels), augment(pixels, ALONE, 0, 0, indices, found)
    masks = torch.from_numpy(found.masks(indices, S))
    greys = []
    for before, after, mask in zip(x, y, masks, strict=True):
        torch.testing.assert_close(after[:, mask == 1], before[:, mask == 1])
        outside = after[:, mask == 0]
        assert outside.max() - outside.min() < 1e-6
        greys.append(float(outside.mean()))
    assert len({round(grey, 3) for grey in greys}) == 6
    assert min(greys) >= 0
    assert max(greys) <= 1


def test_share_of_changed_images_and_independence_of_batches() -> None:
    pixels = np.repeat(disc(0, False)[0][None], 200, 0)
    masks = ForegroundMasks(np.repeat(find([pixels[:1]], 1).bits, 200, 0))
    half, indices = AugmentSettings(background=0.5), np.arange(200)
    y = augment(pixels, half, 3, 1, indices, masks)
    changed = ((y - to_tensor(pixels)).abs().amax((1, 2, 3)) > 1e-6).float().mean()
    assert 0.35 < changed < 0.65
    part = augment(pixels[120:130], half, 3, 1, indices[120:130], masks)
    assert torch.equal(part, y[120:130])


def test_background_does_not_alter_the_other_changes() -> None:
    white = np.full((4, S, S, 3), 255, np.uint8)  # all foreground, so nothing is replaced
    masks, indices = find([white], 4), np.arange(4)
    for more in ({"noise": 0.1}, {"flip": True, "brightness": 0.3}):
        without = augment(white, AugmentSettings(**more), 0, 0, indices)
        with_it = augment(white, AugmentSettings(background=1.0, **more), 0, 0, indices, masks)
        torch.testing.assert_close(with_it, without)


def test_background_without_masks_is_an_error() -> None:
    with pytest.raises(ValueError, match="foreground"):
        augment(np.stack([disc(0, False)[0]]), ALONE, 0, 0, np.arange(1))
