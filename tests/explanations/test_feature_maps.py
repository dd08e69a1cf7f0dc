"""Every convolution and pooling layer, with what it really gave."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

from facevalue.explanations import find
from facevalue.explanations.feature_maps import MOST_CHANNELS, grid, layer_maps
from facevalue.explanations.run import explain_images
from facevalue.models.networks import NETWORKS

SIDES = {"small-cnn": 40, "small-resnet": 32, "inception_v3": 107, "inception_v3-mixed7": 107}
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def test_the_six_layers_of_the_small_cnn(small_cnn):
    """40 -> 38 -> 19 -> 17 -> 8 -> 6 -> 3, with 16, 32 and 64 channels."""
    found = layer_maps(small_cnn, torch.rand(1, 3, 40, 40))
    assert [(m.layer, m.kind, m.maps.shape) for m in found] == [
        ("blocks.0.0", "Conv2d", (16, 38, 38)),
        ("blocks.0.2", "MaxPool2d", (16, 19, 19)),
        ("blocks.1.0", "Conv2d", (32, 17, 17)),
        ("blocks.1.2", "MaxPool2d", (32, 8, 8)),
        ("blocks.2.0", "Conv2d", (64, 6, 6)),
        ("blocks.2.2", "MaxPool2d", (64, 3, 3)),
    ]


def test_values_are_the_layers_own(small_cnn):
    x = torch.rand(1, 3, 40, 40)
    found = layer_maps(small_cnn, x)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found[-1].maps), small_cnn.maps(x)[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_every_network(name, make_classifier):
    """Each convolution and pooling module that gives more than one pixel is found, once, in the order of running."""
    side = SIDES.get(name, 64)
    classifier = make_classifier(name, side)
    x = torch.rand(1, 3, side, side)
    ran: list[str] = []

    def watch(layer):
        def hook(module, args, output):
            if output.shape[-1] * output.shape[-2] > 1:
                ran.append(layer)

        return hook

    hooks = [
        m.register_forward_hook(watch(n))
        for n, m in classifier.body.named_modules()
        if isinstance(m, (nn.Conv2d, *POOLS))
    ]
    found = layer_maps(classifier, x)
    for hook in hooks:
        hook.remove()
    of_modules = [m.layer for m in found if m.kind[0].isupper()]
    assert of_modules == ran
    assert len(of_modules) >= 6


def test_pooling_without_a_module_is_found(make_classifier):
    """Inception pools inside its blocks by calling functions."""
    classifier = make_classifier("inception_v3", 107)
    kinds = [m.kind for m in layer_maps(classifier, torch.rand(1, 3, 107, 107))]
    assert kinds.count("avg_pool2d") == 9
    assert kinds.count("max_pool2d") == 2


def test_grids_on_disk(small_cnn, tmp_path):
    Image.new("RGB", (60, 50), "teal").save(tmp_path / "image.png")
    found = explain_images(small_cnn, [tmp_path / "image.png"], tmp_path / "out", find("feature-maps"))
    place = tmp_path / "out" / "image-feature-maps"
    names = sorted(p.name for p in place.iterdir())
    assert names == [
        "001-blocks.0.0-Conv2d.png",
        "002-blocks.0.2-MaxPool2d.png",
        "003-blocks.1.0-Conv2d.png",
        "004-blocks.1.2-MaxPool2d.png",
        "005-blocks.2.0-Conv2d.png",
        "006-blocks.2.2-MaxPool2d.png",
        "index.png",
    ]
    assert found.to_dict()["faithfulness"] is None
    with Image.open(place / names[-2]) as image:
        # 8 x 8 tiles of a 3 x 3 map, enlarged to 72 pixels, 4 between them, and the margins.
        assert image.width == 8 * 72 + 7 * 4 + 2 * 12


def test_grids_stop_at_64_channels(make_classifier):
    classifier = make_classifier("small-resnet", 32)
    deep = [m for m in layer_maps(classifier, torch.rand(1, 3, 32, 32)) if len(m.maps) > MOST_CHANNELS]
    wide = [m for m in deep if m.maps.shape[1:] == deep[0].maps.shape[1:]]
    assert grid(wide[0]).height < 8 * (72 + 4) + 100
