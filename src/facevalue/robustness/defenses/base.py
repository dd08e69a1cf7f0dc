"""The base class of input defences: a change to the image, with a gradient for adaptive attacks."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from facevalue.evidence.card import ModelCard
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import UNIT_MEAN, UNIT_STD, Body, normalise
from facevalue.support.formats import titled


@dataclass(frozen=True)
class Defense(ABC):
    """A change to every image before the network, meant to remove adversarial perturbations.

    A subclass is a frozen dataclass whose fields are its settings, and implements :meth:`change`.

    Attributes
    ----------
    name : its key in :data:`facevalue.robustness.defenses.DEFENSES`.
    paper : the publication that proposes it as a defence.
    differentiable : whether autograd gives the true gradient of :meth:`change`. If not, the backward pass uses
        :meth:`stand_in`: backward pass differentiable approximation (BPDA; Athalye, Carlini & Wagner 2018,
        arXiv:1802.00420).
    draws : number of changed copies of an image whose logits are averaged; 1 if the change is not random. Users and
        attackers get the same average; its gradient is the expectation over transformation (EOT, Athalye et al. 2018,
        arXiv:1707.07397).
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    differentiable: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """Its name in results, with the settings that differ from the defaults."""
        return titled(self.name, self)

    @property
    def draws(self) -> int:
        """Number of copies to average; see the class."""
        return 1

    @abstractmethod
    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images, (n, 3, s, s).

        Parameters
        ----------
        x : (n, 3, s, s) float in [0, 1]. Must not be changed.
        generator : the only source of randomness, on the CPU.
        """

    def stand_in(self, x: Tensor) -> Tensor:
        """A differentiable approximation of :meth:`change`, for its gradient; by default the identity.

        Most defences change a clean image only a little, so the identity is a fair approximation.
        """
        return x

    @final
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images (n, 3, s, s) in [0, 1], differentiable."""
        if self.differentiable:
            return self.change(x, generator).clamp(0, 1)
        with torch.no_grad():
            changed = self.change(x.detach(), generator).clamp(0, 1)
        smooth = self.stand_in(x)
        return smooth + (changed - smooth).detach()


@final
class DefendedBody(Body):
    """A body with a defence before it. Takes images in [0, 1] and normalises after the defence."""

    mean: Tensor
    std: Tensor

    def __init__(self, inner: Body, card: ModelCard, defense: Defense, seed: int) -> None:
        super().__init__()
        self.inner = inner
        self.head = inner.head
        self.pooled = False  # a class activation map would be for the changed image
        self.spatial = inner.spatial
        self.defense = defense
        self.seed = seed
        self.calls = 0
        self.register_buffer("mean", torch.tensor(card.network.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.network.std).view(1, 3, 1, 1), persistent=False)

    def maps(self, x: Tensor) -> Tensor:
        draws = self.defense.draws
        # New draws for every call, as in use; they depend only on the seed and the number of the call.
        state = np.random.SeedSequence((self.seed, self.calls)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> 1))
        self.calls += 1
        copies = x if draws == 1 else x.repeat(draws, 1, 1, 1)
        return self.inner.maps(normalise(self.defense(copies, generator), self.mean, self.std))

    def embed(self, maps: Tensor) -> Tensor:
        features = self.inner.embed(maps)
        # The head is linear, so the mean of the features gives the mean of the logits.
        return features.view(self.defense.draws, -1, features.shape[1]).mean(0)

    def stages(self) -> list[nn.Module]:
        return self.inner.stages()

    @property
    def cam_layer(self) -> nn.Module:
        return self.inner.cam_layer


def defended(classifier: Classifier, defense: Defense, seed: int = 0) -> Classifier:
    """A new classifier that applies ``defense`` first.

    Its gradients go through the defence, so any attack on it is adaptive.

    Parameters
    ----------
    seed : of a random defence. The same calls in the same order give the same outputs.
    """
    inner = copy.deepcopy(classifier)
    body = DefendedBody(inner.body, classifier.card, defense, seed)
    network = classifier.card.network.changed(mean=UNIT_MEAN, std=UNIT_STD, pooled=False)
    wrapped = Classifier(body, classifier.card.changed(network=network), classifier.gate).to(inner.mean.device)
    for name, value in inner.named_buffers(recurse=False):
        if name not in ("mean", "std"):
            wrapped.get_buffer(name).copy_(value)
    return wrapped.train(classifier.training)
