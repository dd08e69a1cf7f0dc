"""Each defence against another library's, or a closed form."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier
from facevalue.robustness.defenses import defended
from facevalue.robustness.defenses.bits import Bits
from facevalue.robustness.defenses.blur import Blur
from facevalue.robustness.defenses.distillation import through_softmax
from facevalue.robustness.defenses.jpeg import JPEG
from facevalue.robustness.defenses.median import Median
from facevalue.robustness.defenses.noise import Noise
from facevalue.robustness.defenses.tv import TV

GENERATOR = torch.Generator()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("side", [3, 5])
def test_median_equals_scipys(x: Tensor, side: int) -> None:
    expected = ndimage.median_filter(x.numpy(), size=(1, 1, side, side), mode="mirror")
    assert np.array_equal(Median(side)(x, GENERATOR).numpy(), expected)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_blur_equals_scipys(x: Tensor, sigma: float) -> None:
    expected = ndimage.gaussian_filter(x.numpy(), sigma=(0, 0, sigma, sigma), mode="mirror", truncate=4)
    assert np.allclose(Blur(sigma)(x, GENERATOR).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("weight", "steps"), [(0.05, 15), (0.2, 40)])
def test_tv_equals_scikit_images(x: Tensor, weight: float, steps: int) -> None:
    got = TV(weight, steps)(x, GENERATOR).numpy()
    for n in range(2):
        for c in range(3):
            expected = denoise_tv_chambolle(x[n, c].numpy(), weight=weight, eps=0, max_num_iter=steps)
            assert np.allclose(got[n, c], expected, atol=1e-5)


def test_tv_lowers_the_variation_and_keeps_flat_images(x: Tensor) -> None:
    def variation(image: Tensor) -> float:
        return float(image.diff(dim=2).abs().sum() + image.diff(dim=3).abs().sum())

    assert variation(TV()(x, GENERATOR)) < variation(x)
    assert torch.allclose(TV()(torch.full_like(x, 0.3), GENERATOR), torch.full_like(x, 0.3))


@pytest.mark.parametrize("quality", [30, 75])
def test_jpeg_equals_pillows(x: Tensor, quality: int) -> None:
    got = JPEG(quality)(x, GENERATOR)
    for n in range(2):
        buffer = io.BytesIO()
        levels = (x[n] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
        expected = np.asarray(Image.open(buffer)) / 255
        assert np.allclose(got[n].permute(1, 2, 0).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 4, 8])
def test_bits_rounds_to_the_nearest_of_its_levels(x: Tensor, depth: int) -> None:
    got = Bits(depth)(x, GENERATOR)
    levels = 2**depth - 1
    assert torch.allclose(got * levels, (got * levels).round(), atol=1e-9)
    assert float((got - x).abs().max()) <= 0.5 / levels + 1e-12


def test_the_gradient_of_rounding_is_the_identity(x: Tensor) -> None:
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((Bits()(leaf, GENERATOR) * weight).sum(), leaf)
    assert torch.equal(gradient, weight)


@pytest.mark.parametrize("size", [(32, 48), (25, 25)])
def test_differentiable_jpeg_is_close_to_pillows(size: tuple[int, int]) -> None:
    smooth = torch.linspace(0, 1, size[1]).expand(1, 3, *size)
    image = (0.6 * smooth + 0.3 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    for quality in (30, 75, 95):
        jpeg = JPEG(quality)
        saved = jpeg.change(image, GENERATOR)
        assert float((jpeg.stand_in(image) - saved).abs().mean()) < 0.25 * float((saved - image).abs().mean())


def test_noise_has_its_deviation_and_the_defended_model_answers_with_the_mean(trained: Classifier) -> None:
    grey = torch.full((4, 3, 25, 25), 0.5)
    noisy = Noise(sigma=0.05)(grey, torch.Generator().manual_seed(0))
    assert float((noisy - grey).std()) == pytest.approx(0.05, rel=0.03)
    behind = defended(trained, Noise(sigma=0.1, copies=400), seed=1)
    one = defended(trained, Noise(sigma=0.1, copies=1), seed=2)
    with torch.no_grad():
        draws = torch.cat([one.logits(grey) for _ in range(400)])
        assert torch.allclose(behind.logits(grey), draws.mean(0).expand(4, 2), atol=4 * float(draws.std()) / 20 * 1.5)
        assert not torch.equal(one.logits(grey), one.logits(grey))


def test_a_saturated_softmax_has_no_gradient_and_the_logits_have_one(
    trained: Classifier, clean: tuple[Tensor, Tensor]
) -> None:
    x = clean[0][:8]
    hard = trained.changed()
    with torch.no_grad():
        hard.body.head.weight.mul_(1e4)
        hard.body.head.bias.mul_(1e4)
    seen = through_softmax(hard)
    assert torch.equal(seen.decide(seen.logits(x)), hard.decide(hard.logits(x)))
    assert torch.allclose(seen.logits(x).sum(1), torch.ones(8))
    for model, blind in ((seen, True), (hard, False)):
        leaf = x.clone().requires_grad_()
        z = model.logits(leaf)
        (gradient,) = torch.autograd.grad((z[:, 0] - z[:, 1]).sum(), leaf)
        assert bool((gradient == 0).all()) is blind


@pytest.mark.parametrize(
    "make", [lambda: JPEG(0), lambda: Bits(9), lambda: Blur(0), lambda: Median(4), lambda: Noise(-1.0), lambda: TV(0.0)]
)
def test_settings_out_of_range_are_errors(make: object) -> None:
    with pytest.raises(UsageError, match="Expected"):
        make()  # type: ignore[operator]
