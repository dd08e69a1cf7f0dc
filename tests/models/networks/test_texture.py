"""The texture network against timm's own model and NumPy's correlations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from facevalue.errors import UsageError
from facevalue.models.networks import build, torchvision_ready
from facevalue.models.networks.mobilenetv2_texture import _folded
from facevalue.models.networks.weights import Wanted, prepare

NAME = "mobilenetv2_100-texture"
LEVELS = {0: 16, 1: 24, 2: 32, 3: 64, 4: 96}
"""Channels of each, Sandler et al. 2018, table 2; inside, the blocks after the first are six times as wide."""


def root(covariance: np.ndarray) -> np.ndarray:
    """The square root by eigenvectors, with a thousandth of the mean variance added."""
    c = len(covariance)
    values, vectors = np.linalg.eigh(covariance + 1e-3 / c * np.trace(covariance) * np.eye(c))
    return (vectors * np.sqrt(values)) @ vectors.T


@pytest.mark.parametrize("by", [1, 2, 4])
def test_folding_is_torch_s_pixel_unshuffle(by: int) -> None:
    maps = torch.rand(3, 5, 8, 12)
    assert torch.equal(_folded(maps, by), torch.nn.functional.pixel_unshuffle(maps, by))


def expected(levels: list[torch.Tensor]) -> np.ndarray:
    """(n, d) features of maps (n, c, places), by NumPy, one image and one level at a time."""
    rows = []
    for image in range(len(levels[0])):
        parts = []
        for level in levels:
            channels = level[image].double().numpy()
            rows_of, columns = np.triu_indices(len(channels))
            parts.append(root(np.cov(channels, bias=True))[rows_of, columns])
        rows.append(np.concatenate(parts))
    return np.array(rows)


@pytest.mark.parametrize(
    ("levels", "zooms", "views", "wide", "wide_at"),
    [
        ((1, 2, 3, 4), (1,), ("upright",), (), ()),
        ((0, 4), (1,), ("upright", "mirrored"), (), ()),
        ((1, 2, 3, 4), (1, 2), ("upright",), (1, 2), (2,)),
        ((3, 4), (1, 3), ("upright", "turned"), (), ()),
        ((1, 2, 3), (1, 2), ("upright", "mirrored", "upside-down", "turned"), (1,), (1, 2)),
        ((2,), (1,), ("upright",), (1, 3), (1,)),
        ((3,), (1,), ("upside-down", "upright"), (), ()),
        ((2, 4), (1, 1.5, 2), ("upright", "mirrored"), (), ()),
    ],
)
def test_the_features_are_roots_of_covariances_of_timms_maps(
    tmp_path: Path,
    levels: tuple[int, ...],
    zooms: tuple[float, ...],
    views: tuple[str, ...],
    wide: tuple[int, ...],
    wide_at: tuple[float, ...],
) -> None:
    torchvision_ready.ready()
    import timm

    torch.manual_seed(0)
    whole: Any = timm.create_model("mobilenetv2_100").eval()
    file = tmp_path / "weights.safetensors"
    save_file(whole.state_dict(), file)
    options = {"levels": levels, "zooms": zooms, "views": views, "wide": wide, "wide_at": wide_at}
    body, facts = prepare(Wanted(NAME, classes=2, size=128, weights=str(file), options=options))
    inside: dict[int, torch.Tensor] = {}
    for number in wide:
        whole.blocks[number][-1].bn2.register_forward_hook(
            lambda *args, number=number: inside.update({number: args[2]})
        )
    x = torch.randn(3, 3, 128, 128)
    seen_as = {"upright": x, "mirrored": x.flip(3), "upside-down": x.flip(2), "turned": x.rot90(2, (2, 3))}
    with torch.no_grad():
        features = body.eval().features(x)
        seen = []
        for zoom in zooms:
            found_by_view = []
            for name in views:
                maps = torch.nn.functional.interpolate(seen_as[name], scale_factor=float(zoom), mode="bilinear")
                maps = whole.bn1(whole.conv_stem(maps))
                found = []
                for block in whole.blocks[:5]:
                    maps = block(maps)
                    found.append(maps)
                read = {(number, 1): found[number] for number in levels}
                read |= {(number, 0): inside[number] for number in wide if zoom in wide_at}
                found_by_view.append([read[key].flatten(2) for key in sorted(read)])
            seen += [torch.cat(both, 2) for both in zip(*found_by_view, strict=True)]
    wanted = expected(seen)
    channels = [*(LEVELS[number] for number in levels for _ in zooms)]
    channels += [6 * LEVELS[number] for number in wide for _ in wide_at]
    assert facts.features == wanted.shape[1] == sum(body.kinds) == sum(c * (c + 1) // 2 for c in channels)
    np.testing.assert_allclose(features.numpy(), wanted, atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(("view", "axes"), [("mirrored", (3,)), ("upside-down", (2,)), ("turned", (2, 3))])
def test_an_image_and_what_it_is_seen_as_have_one_answer_and_their_maps_lie_where_the_image_does(
    view: str, axes: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    body = build(NAME, 2, 64, {"views": ("upright", view)}).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(body(x), body(x.flip(axes)), atol=1e-4, rtol=1e-3)
        for maps, of_other in zip(body.model.outputs(x), body.model.outputs(x.flip(axes)), strict=True):
            plain, other = maps.chunk(2, dim=1)
            torch.testing.assert_close(of_other.chunk(2, dim=1)[0].flip(axes), other, atol=1e-4, rtol=1e-3)
            assert (plain - other).abs().max() > 0.1


def test_texture_features_ignore_position_but_not_how_patterns_combine() -> None:
    body = build(NAME, 2, 64).eval()
    with torch.no_grad():
        maps = torch.randn_like(body.maps(torch.randn(1, 3, 64, 64)))
    moved = maps.flatten(2)[:, :, torch.randperm(16)].reshape(maps.shape)
    apart = torch.stack([m[torch.randperm(16)] for m in maps.flatten(2)[0]]).reshape(maps.shape)
    with torch.no_grad():
        torch.testing.assert_close(body.embed(moved), body.embed(maps), atol=1e-5, rtol=1e-4)
        assert (body.embed(apart) - body.embed(maps)).abs().max() > 0.1


def test_features_of_quarters_are_those_of_the_quarters_of_every_level() -> None:
    torch.manual_seed(0)
    options = {"zooms": (1, 2), "views": ("upright", "mirrored"), "wide": (1,), "wide_at": (2,)}
    body = build(NAME, 2, 128, options).eval()
    x = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        whole, *quarters = body.features_of_quarters(x).unbind(1)
        torch.testing.assert_close(whole, body.features(x))
        maps = body.model.outputs(x)
        for number, got in enumerate(quarters):
            top, left = divmod(number, 2)
            parts = []
            for level in maps:
                half = level.shape[2] // 2
                part = level[:, :, top * half : (top + 1) * half, left * half : (left + 1) * half]
                parts.append(torch.cat([view.flatten(2) for view in part.chunk(2, dim=1)], 2))
            np.testing.assert_allclose(got.numpy(), expected(parts), atol=2e-3 * float(got.abs().max()))


def test_the_batch_shrinks_with_the_number_of_views() -> None:
    assert build(NAME, 2, 64).batch == 16
    assert build(NAME, 2, 64, {"zooms": (1, 2)}).batch == 3
    assert build(NAME, 2, 64, {"zooms": (1, 2, 4), "views": ("upright", "turned")}).batch == 1


def test_an_image_of_one_colour_has_features() -> None:
    with torch.no_grad():
        assert build(NAME, 2, 64).eval().features(torch.zeros(1, 3, 64, 64)).isfinite().all()


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (72, {}, "do not fold evenly"),
        (64, {"levels": (4, 5)}, "expected levels from 0 to 4"),
        (64, {"zooms": (2,)}, "expected zooms to be from 1 to 8, 1 among them"),
        (64, {"zooms": (1, 1)}, "zooms to be a list of different numbers"),
        (64, {"zooms": "2"}, "zooms to be a list of different numbers, but got '2'"),
        (64, {"zooms": (1, 1.001)}, "are not all different"),
        (64, {"levels": 4}, "levels to be a list of different whole numbers"),
        (
            64,
            {"views": "upright"},
            "views to be of upright, mirrored, upside-down, turned, upright among",
        ),
        (64, {"views": ["mirrored"]}, "upright among them, but got"),
        (64, {"views": ["upright", "above"]}, "upright among them, but got"),
        (64, {"views": ["upright", ["turned"]]}, "upright among them, but got"),
        (64, {"views": ["upright", "turned", "turned"]}, "upright among them, but got"),
        (64, {"zooms": (1, 1.3)}, "do not fold evenly"),
        (64, {"levels": [1.0]}, "levels to be a list of different whole numbers"),
        (64, {"levels": [[1]]}, "levels to be a list of different whole numbers"),
        (64, {"zoom": [1, 2]}, "has no option 'zoom'; it knows: pad_type, levels, zooms, views, wide, wide_at"),
        (64, {"pad_type": "foo"}, "pad_type to be '' or 'same', but got 'foo'"),
        (64, {"levels": ()}, "expected levels from 0 to 4, but got"),
        (64, {"wide": (0,), "wide_at": (1,)}, "expected wide to be groups from 1 to 4, but got"),
        (64, {"wide": (1,)}, "wide and wide_at go together"),
        (64, {"wide": (1,), "wide_at": (2,)}, "expected wide_at to be among the zooms"),
        (64, {"wide": "1", "wide_at": (1,)}, "expected wide to be a list of different whole numbers"),
    ],
)
def test_what_cannot_be_built(size: int, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(NAME, 2, size, options)
