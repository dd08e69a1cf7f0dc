"""Networks that are known inside: a linear one, and small ones that were trained on a task with a known answer."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body

VIT = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3}
TASK_SIDE = 32
CELL = 8


def patches(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise with one patch of 8 x 8 pixels: images (n, 3, 32, 32), labels (n,), and where the patch is (n, 32, 32).

    Class 0 has a patch of a fine checkerboard, class 1 of broad stripes.
    """
    draw = torch.Generator().manual_seed(seed)
    x = 0.5 + 0.1 * torch.randn(n, 3, TASK_SIDE, TASK_SIDE, generator=draw)
    label = torch.arange(n) % 2
    board = ((torch.arange(CELL)[:, None] + torch.arange(CELL)) % 2).float()
    stripes = ((torch.arange(CELL) // 4) % 2).float().expand(CELL, CELL)
    where = torch.zeros(n, TASK_SIDE, TASK_SIDE)
    for i in range(n):
        top, left = (CELL * torch.randint(0, TASK_SIDE // CELL, (2,), generator=draw)).tolist()
        x[i, :, top : top + CELL, left : left + CELL] = board if label[i] == 0 else stripes
        where[i, top : top + CELL, left : left + CELL] = 1
    return x.clamp(0, 1), label, where


@lru_cache
def trained_classifier(name: str) -> Classifier:
    """A network that has learned to tell the patches apart; shared, not to be changed."""
    torch.manual_seed(0)
    network, options = networks.find(name), VIT if name.startswith("vit") else {"widths": [8, 16]}
    body = networks.build(name, 2, TASK_SIDE, options)
    card = ModelCard(
        classes=("board", "stripes"),
        preprocessing=Preprocessing(size=TASK_SIDE),
        network=NetworkFacts(name=name, mean=network.mean, std=network.std, pooled=body.pooled, options=options),
        positive="board",
    )
    classifier = Classifier(body, card).train()
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=2e-3)
    for step in range(60):
        x, label, _ = patches(32, seed=step)
        loss = torch.nn.functional.cross_entropy(classifier.logits(x), label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return classifier.eval()


def trained_for(method: str) -> Classifier:
    """A trained network that the method of this name can explain."""
    return trained_classifier("vit_tiny_patch16_224" if method == "attention-rollout" else "small-resnet")


class FlatBody(Body):
    """Maps are the image itself; the head is linear over all of its values."""

    pooled = False

    def __init__(self, side: int) -> None:
        super().__init__()
        self.same = nn.Identity()
        self.head = nn.Linear(3 * side * side, 2)

    def maps(self, x: Tensor) -> Tensor:
        return self.same(x)

    def embed(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)

    def stages(self) -> list[nn.Module]:
        return [self.same]

    @property
    def cam_layer(self) -> nn.Module:
        return self.same


def flat_classifier() -> Classifier:
    """A linear network for images of 8 x 8 pixels."""
    torch.manual_seed(3)
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=8), network=NetworkFacts(name="flat"))
    return Classifier(FlatBody(8), card).eval()
