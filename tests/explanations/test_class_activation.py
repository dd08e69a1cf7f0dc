"""Class activation maps against captum, derivatives taken one by one, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from facevalue.errors import UsageError
from facevalue.explanations import GradCam, GradCamPlusPlus, GraphHeat, HiResCam

from .known_networks import flat_classifier, trained_classifier


@pytest.mark.parametrize("name", ["small-resnet", "small-cnn", "mobilenetv2_100"])
@pytest.mark.parametrize("method", [GradCam(), GraphHeat()])
def test_equals_captums_gradcam_after_scaling(name, method, make_classifier):
    classifier = make_classifier(name, 64)
    if method.refusal(classifier):
        assert not classifier.body.pooled
        return
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    target = torch.tensor([0, 1, 0, 1])
    captums = LayerGradCam(classifier, classifier.body.cam_layer).attribute(x, target, relu_attributions=True)
    expected = captums.detach().squeeze(1).numpy()
    raw = method(classifier, x, target).raw
    assert (expected.max((1, 2)) > 0).any()
    for one, other in zip(raw, expected, strict=True):
        np.testing.assert_allclose(one / max(one.max(), 1e-12), other / max(other.max(), 1e-12), atol=1e-4)


def test_gradcam_plus_plus_has_the_weights_of_the_paper():
    """Equation 10 with the second and third derivatives of exp(logit), taken by autograd one value at a time."""
    flat = flat_classifier()
    x, target = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([1])
    maps = x.double().clone().requires_grad_(True)
    head = nn.Linear(192, 2).double()
    head.load_state_dict(flat.body.head.state_dict())
    score = head(maps.flatten(1))[0, 1].exp()
    (first,) = torch.autograd.grad(score, maps, create_graph=True)
    second, third = torch.zeros(192), torch.zeros(192)
    for i in range(192):
        (row,) = torch.autograd.grad(first.flatten()[i], maps, create_graph=True)
        second[i] = row.flatten()[i].detach()
        (row,) = torch.autograd.grad(row.flatten()[i], maps, retain_graph=True)
        third[i] = row.flatten()[i]
    second, third = second.view(3, 8, 8), third.view(3, 8, 8)
    alpha = second / (2 * second + maps[0].detach().sum((1, 2), keepdim=True) * third)
    weights = (alpha * first[0].detach().relu()).sum((1, 2))
    expected = torch.einsum("c,chw->hw", weights, maps[0].detach()).relu().numpy()
    found = GradCamPlusPlus()(flat, x, target).raw[0]
    assert expected.max() > 0
    np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=1e-4)


def test_hirescam_sums_to_the_logit_less_the_bias():
    flat = flat_classifier()
    x, target = torch.rand(3, 3, 8, 8), torch.tensor([0, 1, 1])
    with torch.no_grad():
        logits = (flat.logits(x) - flat.body.head.bias).gather(1, target.unsqueeze(1)).squeeze(1)
    np.testing.assert_allclose(HiResCam()(flat, x, target).raw.sum((1, 2)), logits.numpy(), atol=1e-5)


def test_hirescam_equals_gradcam_where_the_network_pools(small_resnet):
    x = torch.rand(3, 3, 32, 32)
    found = HiResCam()(small_resnet, x, torch.zeros(3, dtype=torch.long))
    np.testing.assert_allclose(
        found.raw.clip(0), GradCam()(small_resnet, x, torch.zeros(3, dtype=torch.long)).raw, rtol=1e-3, atol=1e-6
    )


def test_tokens_of_a_vision_transformer():
    """Grad-CAM with the gradients of the last block's input, by a forward in two halves of our own."""
    classifier = trained_classifier("vit_tiny_patch16_224")
    x, target = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    model = classifier.body.model
    with torch.no_grad():
        tokens = model.pos_drop(model._pos_embed(model.patch_embed((x - classifier.mean) / classifier.std)))
        tokens = model.blocks[0](model.norm_pre(tokens))
    last = model.blocks[1]
    seen = last.norm1(tokens).detach().requires_grad_(True)
    after = tokens + last.drop_path1(last.ls1(last.attn(seen)))
    after = after + last.drop_path2(last.ls2(last.mlp(last.norm2(after))))
    logits = classifier.body.head(model.norm(after)[:, 0])
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), seen)
    maps, slopes = seen.detach()[:, 1:], gradient[:, 1:]
    expected = torch.einsum("ntd,nd->nt", maps, slopes.mean(1)).relu().reshape(2, 4, 4)
    np.testing.assert_allclose(GradCam()(classifier, x, target).raw, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("method", [GradCam(), GradCamPlusPlus()])
def test_networks_that_subtract_each_channels_mean_are_refused(method, make_classifier):
    texture = make_classifier("mobilenetv2_100-texture", 64)
    with pytest.raises(
        UsageError, match=rf"{method.name.replace('+', '.')} gives each channel one weight, and mobilenet"
    ):
        method(texture, torch.rand(1, 3, 64, 64))
    assert HiResCam().refusal(texture) is None


def test_heat_is_refused_without_pooling(small_cnn):
    with pytest.raises(
        UsageError, match=r"heat needs a network that ends in average pooling .*, and small-cnn does not"
    ):
        GraphHeat()(small_cnn, torch.rand(1, 3, 40, 40))


def test_transformers_that_merge_tokens_are_refused(make_classifier):
    swin = make_classifier("small-resnet", 32).changed()
    swin.body.spatial = False
    for method in (GradCam(), GradCamPlusPlus(), HiResCam()):
        with pytest.raises(UsageError, match="integrated-gradients and occlusion explain every network"):
            method(swin, torch.rand(1, 3, 32, 32))
