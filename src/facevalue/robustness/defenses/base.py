"""What a defence before the network is: a change to the image, and the honest gradient of it."""

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
    """A change to every image before the network sees it, meant to take an attack's perturbation away.

    A subclass is a frozen dataclass whose fields are its settings, and writes :meth:`change`.

    Attributes
    ----------
    name : its key in :data:`facevalue.robustness.defenses.DEFENSES`.
    paper : where it was proposed as a defence.
    differentiable : whether autograd gives the true gradient of :meth:`change`. Where it does not, the backward pass
        takes :meth:`stand_in` for it: the backward pass differentiable approximation (BPDA) of Athalye, Carlini &
        Wagner 2018, arXiv:1802.00420.
    draws : changed copies of an image whose logits are averaged, 1 where nothing is random. The average is the
        defended model, for users and attackers alike; its gradient is the expectation over transformation (EOT,
        Athalye et al. 2018, arXiv:1707.07397).
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    differentiable: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """What figures call it: its name, with the settings that are not the defaults."""
        return titled(self.name, self)

    @property
    def draws(self) -> int:
        """See the class."""
        return 1

    @abstractmethod
    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images, (n, 3, s, s).

        Parameters
        ----------
        x : (n, 3, s, s) float in [0, 1]. Not to be changed.
        generator : the only source of randomness, on the CPU.
        """

    def stand_in(self, x: Tensor) -> Tensor:
        """What is differentiated instead of :meth:`change` where that has no gradient; here the identity.

        Most defences hardly change a clean image, so that the identity is a fair approximation.
        """
        return x

    @final
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images (n, 3, s, s) in [0, 1], with a gradient for those who ask."""
        if self.differentiable:
            return self.change(x, generator).clamp(0, 1)
        with torch.no_grad():
            changed = self.change(x.detach(), generator).clamp(0, 1)
        smooth = self.stand_in(x)
        return smooth + (changed - smooth).detach()


@final
class DefendedBody(Body):
    """A body behind a defence. Takes images in [0, 1] and normalises after the defence."""

    mean: Tensor
    std: Tensor

    def __init__(self, inner: Body, card: ModelCard, defense: Defense, seed: int) -> None:
        super().__init__()
        self.inner = inner
        self.head = inner.head
        self.pooled = False  # the class activation map would be of an image that nobody sees
        self.spatial = inner.spatial
        self.defense = defense
        self.seed = seed
        self.calls = 0
        self.register_buffer("mean", torch.tensor(card.network.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.network.std).view(1, 3, 1, 1), persistent=False)

    def maps(self, x: Tensor) -> Tensor:
        draws = self.defense.draws
        # Every question gets draws of its own, as it would in service; one after another they follow from the seed.
        state = np.random.SeedSequence((self.seed, self.calls)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> 1))
        self.calls += 1
        copies = x if draws == 1 else x.repeat(draws, 1, 1, 1)
        return self.inner.maps(normalise(self.defense(copies, generator), self.mean, self.std))

    def embed(self, maps: Tensor) -> Tensor:
        features = self.inner.embed(maps)
        # The head is linear, so that the mean of the features gives the mean of the logits.
        return features.view(self.defense.draws, -1, features.shape[1]).mean(0)

    def stages(self) -> list[nn.Module]:
        return self.inner.stages()

    @property
    def cam_layer(self) -> nn.Module:
        return self.inner.cam_layer


def defended(classifier: Classifier, defense: Defense, seed: int = 0) -> Classifier:
    """A classifier whose images go through ``defense`` first; the one given stays as it is.

    To an attack it is a classifier like any other, and its gradients lead through the defence: whoever attacks it is
    adaptive.

    Parameters
    ----------
    seed : of a random defence. The same questions in the same order get the same answers.
    """
    inner = copy.deepcopy(classifier)
    body = DefendedBody(inner.body, classifier.card, defense, seed)
    network = classifier.card.network.changed(mean=UNIT_MEAN, std=UNIT_STD, pooled=False)
    wrapped = Classifier(body, classifier.card.changed(network=network)).to(inner.mean.device)
    for name, value in inner.named_buffers(recurse=False):
        if name not in ("mean", "std"):
            wrapped.get_buffer(name).copy_(value)
    return wrapped.train(classifier.training)
