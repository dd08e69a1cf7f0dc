"""The quicker network gives the same logits and gradients, and leaves no trace; a wrong guess is not used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.networks.base import Body
from facevalue.robustness.attacks.conv_bn_fusion import fused


def classifier_of(body: Body, size: int) -> Classifier:
    """A classifier whose batch norms have seen some images, so that folding them is not nothing."""
    card = ModelCard(
        classes=("a", "b"), preprocessing=Preprocessing(size=size), network=NetworkFacts("any"), positive="a"
    )
    classifier = Classifier(body, card).train()
    with torch.no_grad():
        for seed in range(3):
            classifier.logits(images(8, size, seed))
        for module in classifier.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return classifier.eval()


def images(n: int, size: int, seed: int = 9) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def answers(classifier: Classifier, x: Tensor) -> tuple[Tensor, Tensor, list[str]]:
    """Logits, the gradient of their difference, and the names of the operations that the gradient goes through."""
    leaf = x.clone().requires_grad_()
    logits = classifier.logits(leaf)
    names, waiting = set(), [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in names:
            names.add(node)
            waiting += [earlier for earlier, _ in node.next_functions]
    (gradient,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), leaf)
    return logits.detach(), gradient, [node.name() for node in names]


@pytest.mark.parametrize("name", ["small-resnet", "mobilenetv2_100", "resnet18"])
def test_same_answers_without_batch_norm(name: str) -> None:
    torch.manual_seed(0)
    record = networks.find(name)
    classifier = classifier_of(networks.build(name, 2, 32, record.options), 32)
    x = images(4, 32)
    modules = dict(classifier.named_modules())
    weights = {key: value.clone() for key, value in classifier.state_dict().items()}
    with frozen(classifier):
        logits, gradient, usual = answers(classifier, x)
        with fused(classifier, x[:1]):
            quick_logits, quick_gradient, quick = answers(classifier, x)
    assert any("BatchNorm" in operation for operation in usual)
    assert not any("BatchNorm" in operation for operation in quick)
    assert not any("Hardtanh" in operation for operation in quick)
    torch.testing.assert_close(quick_logits, logits, rtol=1e-3, atol=1e-4)
    # A ReLU whose input is 0 up to float error may open or close: few gradients may differ, none by much.
    error = (quick_gradient - gradient).norm() / gradient.norm()
    assert float(error) < 1e-3
    assert {key: id(module) for key, module in classifier.named_modules()} == {k: id(m) for k, m in modules.items()}
    assert all(torch.equal(value, weights[key]) for key, value in classifier.state_dict().items())


class Crossed(Body):
    """Children in an order that is not the order in which they are used."""

    pooled = True

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 2)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.second(self.norm(self.first(x)).relu())
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))

    def stages(self) -> list[nn.Module]:
        return [self.first, self.norm, self.second]

    @property
    def cam_layer(self) -> nn.Module:
        return self.second


def test_a_wrong_guess_is_not_used() -> None:
    torch.manual_seed(0)
    classifier = classifier_of(Crossed(), 16)
    x = images(4, 16)
    with frozen(classifier):
        logits, gradient, _ = answers(classifier, x)
        with fused(classifier, x[:1]):
            found, slope, names = answers(classifier, x)
    assert torch.equal(found, logits)
    assert torch.equal(slope, gradient)
    assert any("BatchNorm" in name for name in names)


def test_restored_after_an_error() -> None:
    classifier = classifier_of(networks.build("small-resnet", 2, 16, networks.find("small-resnet").options), 16)
    before = [id(module) for module in classifier.modules()]
    with frozen(classifier), pytest.raises(KeyboardInterrupt), fused(classifier, images(1, 16)):
        assert [id(module) for module in classifier.modules()] != before
        raise KeyboardInterrupt
    assert [id(module) for module in classifier.modules()] == before
