"""Copies that share the memory of the weights: the original must not notice them."""

import torch
from torch import nn

from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier
from facevalue.models.weight_sharing import sharing_weights
from facevalue.training.methods import with_head
from facevalue.training.probe import Probe


def classifier() -> Classifier:
    torch.manual_seed(0)
    body = networks.build("small-resnet", 2, 32, {"widths": (8, 16)})
    card = ModelCard(
        classes=("a", "b"), preprocessing=Preprocessing(size=32), network=NetworkFacts(name="small-resnet")
    )
    return Classifier(body, card)


def places(module: nn.Module) -> dict[str, int]:
    return {name: value.data_ptr() for name, value in module.state_dict().items() if value.numel()}


def test_weights_lie_in_the_same_memory_and_flags_do_not() -> None:
    model = classifier().train()
    shared = sharing_weights(model).eval().requires_grad_(False)
    assert places(shared) == places(model)
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    assert not shared.training
    assert not any(weight.requires_grad for weight in shared.parameters())


def test_another_memory_format_of_the_copy_leaves_the_original_alone() -> None:
    model = classifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = {name: value.stride() for name, value in model.state_dict().items()}
    sharing_weights(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert {name: value.stride() for name, value in model.state_dict().items()} == strides
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_probe_gets_a_last_layer_of_its_own() -> None:
    model = classifier()
    before = model.body.head.weight.clone()
    d = model.body.head.in_features
    new = with_head(model, Probe(torch.ones(2, d), torch.zeros(2), 1.0, 1.0, []))
    assert torch.equal(new.body.head.weight, torch.ones(2, d))
    assert torch.equal(model.body.head.weight, before)
    same = {name for name, place in places(new).items() if place == places(model)[name]}
    assert places(model).keys() - same == {"body.head.weight", "body.head.bias"}


def test_a_changed_classifier_has_weights_of_its_own() -> None:
    # What leaves the library may be trained further in place.
    model = with_head(classifier(), Probe(torch.ones(2, 16), torch.zeros(2), 1.0, 1.0, []))
    assert not set(places(model).values()) & set(places(model.changed()).values())
