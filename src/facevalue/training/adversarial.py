"""Adversarial training, batch by batch, with four published methods.

The attack inside the loop runs in eval mode: dropout is off, batch norm uses its running statistics and does not
update them, and the weights get no gradient. Only ``free`` attacks in train mode, because one backward pass serves
both the attack and the training. Images stay in [0, 1]; normalisation comes after the attack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.robustness.attacks.base import Threat
from facevalue.robustness.attacks.conv_bn_fusion import fused
from facevalue.robustness.attacks.gradients import steepest
from facevalue.robustness.attacks.pgd import PGD
from facevalue.training.settings import AdversarialSettings

Batches = Iterator[tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]]
Network = Callable[[Tensor], Tensor]
"""Images (n, 3, s, s) in [0, 1] to logits (n, k)."""
Objective = Callable[[Tensor], Tensor]
"""Logits (n, k) to a scalar loss."""

_FAST_STEP = 1.25
"""Wong, Rice & Kolter 2020, arXiv:2001.03994: in units of eps. At 2 one-step training collapses."""


@dataclass
class Adversary:
    """The attacks on the batches of one epoch; none with method ``none``.

    Attributes
    ----------
    method : ``none``, ``pgd``, ``fast``, ``trades`` or ``free``.
    threat : the ball in this epoch.
    classifier : the network that is trained; the attack uses it in eval mode.
    generator : of the random starts, on the CPU.
    autocast : makes the context in which the attack computes.
    attacked, resisted : training images attacked so far in this epoch, and those still classified correctly.
    """

    settings: AdversarialSettings
    method: str
    threat: Threat
    classifier: Classifier
    generator: torch.Generator
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    attacked: int = 0
    resisted: int = 0
    _carried: Tensor | None = None

    def batch_losses(self, network: Network, x: Tensor, y: Tensor, loss: Objective) -> Iterator[tuple[Tensor, Tensor]]:
        """The losses of one batch, each with its logits (n, k).

        The caller takes the backward pass and the optimiser step for each loss before it requests the next.

        Parameters
        ----------
        network : in train mode.
        x : (n, 3, s, s) clean images in [0, 1], in random order.
        y : (n,) true classes, or (n, k) soft labels.
        loss : the loss of the logits of the whole batch.
        """
        if self.method == "none":
            logits = network(x)
            yield loss(logits), logits
        elif self.method == "trades":
            yield self._trades(network, x, y, loss)
        elif self.method == "free":
            yield from self._free(network, x, y, loss)
        else:
            m = self._attacked_of(x)
            steps, reach = (1, _FAST_STEP) if self.method == "fast" else (self.settings.steps, self.settings.reach)
            start = self.threat.random_point(x[:m], self.generator)
            found = self.ascend(
                x[:m], start, lambda z: functional.cross_entropy(z, y[:m], reduction="sum"), steps, reach
            )
            logits = network(torch.cat([found, x[m:]]))
            self._count(logits[:m], y[:m])
            yield loss(logits), logits

    def ascend(self, x: Tensor, start: Tensor, climbed: Objective, steps: int, reach: float) -> Tensor:
        """Gradient ascent on ``climbed`` from ``start``, projected to the ball around ``x`` (n, 3, s, s).

        The lengths of all steps add up to ``reach`` times eps.
        """
        found, step = start, reach * self.threat.eps / steps
        with frozen(self.classifier), self.autocast(), fused(self.classifier, x[:1]):
            for _ in range(steps):
                leaf = found.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(climbed(self.classifier.logits(leaf).float()), leaf)
                found = self.threat.project(found + step * steepest(gradient, self.threat.norm), x)
        return found.detach()

    def _trades(self, network: Network, x: Tensor, y: Tensor, loss: Objective) -> tuple[Tensor, Tensor]:
        """TRADES (Zhang et al. 2019, arXiv:1901.08573): clean loss plus divergence of clean and attacked outputs."""
        with frozen(self.classifier), self.autocast(), torch.no_grad():
            own = self.classifier.logits(x).float().softmax(1)
        # The divergence has its minimum, and so no gradient, at the clean image: start a small distance away.
        start = self.threat.project(x + 1e-3 * torch.randn(x.shape, generator=self.generator).to(x), x)
        settings = self.settings
        found = self.ascend(x, start, lambda z: _divergence(own, z).sum(), settings.steps, settings.reach)
        logits, moved = network(x), network(found)
        self._count(moved, y)
        return loss(logits) + settings.beta * _divergence(logits.float().softmax(1), moved.float()).mean(), logits

    def _free(self, network: Network, x: Tensor, y: Tensor, loss: Objective) -> Iterator[tuple[Tensor, Tensor]]:
        """Free training (Shafahi et al. 2019, arXiv:1904.12843): each batch is replayed several times.

        One backward pass gives the gradients for weights and attack. The perturbation carries over from batch to batch
        and is 0 at the start of each epoch.
        """
        m = self._attacked_of(x)
        away = torch.zeros_like(x[:m])
        if self._carried is not None:
            kept = self._carried[:m]
            away[: len(kept)] = kept
        for _ in range(self.settings.replays):
            leaf = away.detach().requires_grad_()
            logits = network(torch.cat([self.threat.project(x[:m] + leaf, x[:m]), x[m:]]))
            self._count(logits[:m], y[:m])
            yield loss(logits), logits
            assert leaf.grad is not None, "the caller must take the backward pass of every loss"
            further = away + self.threat.eps * steepest(leaf.grad, self.threat.norm)
            away = self.threat.project(x[:m] + further, x[:m]) - x[:m]
        self._carried = away

    def _attacked_of(self, x: Tensor) -> int:
        # Batches are in random order, so the first images are a random sample.
        return max(1, round(self.settings.share * len(x)))

    def _count(self, logits: Tensor, y: Tensor) -> None:
        truth = y if y.ndim == 1 else y.argmax(1)
        self.attacked += len(y)
        self.resisted += int((logits.argmax(1) == truth).sum())

    def figures(self) -> dict[str, float]:
        """The figures of the attacked training images for the epoch's history line."""
        return {"train_robust_accuracy": self.resisted / max(1, self.attacked)}


def _divergence(p: Tensor, logits: Tensor) -> Tensor:
    """(n,) Kullback-Leibler divergence of softmax(``logits``) from ``p``, both (n, k), in nats."""
    logs = p.clamp_min(1e-12).log()
    return (p * (logs - functional.log_softmax(logits, 1))).sum(1)


def threat_in(settings: AdversarialSettings, epoch: int) -> Threat:
    """The ball in an epoch: the radius grows linearly over ``ramp_epochs``.

    >>> threat_in(AdversarialSettings(eps=0.5, ramp_epochs=1), 0).eps
    0.25
    """
    grown = min(1.0, (epoch + 1) / (settings.ramp_epochs + 1))
    return Threat(settings.norm, grown * settings.eps)


Line = Mapping[str, Any]


def method_in(settings: AdversarialSettings, history: Sequence[Line]) -> str:
    """The method of the next epoch: that of the settings, but ``pgd`` once ``fast`` has collapsed."""
    return "pgd" if settings.method == "fast" and any(line.get("collapsed") for line in history) else settings.method


def collapsed(method: str, history: Sequence[Line], robust_accuracy: float, ramp_epochs: int = 0) -> bool:
    """Whether one-step training has collapsed in the last epoch (*catastrophic overfitting*, Wong et al. 2020).

    The network has then learned to fool the one step, and a multi-step attack breaks nearly every image: robust
    accuracy falls below half of the best so far. The loop restores the best weights and continues with ``pgd``. Epochs
    in which eps still grows are not compared: an untrained network that always predicts one class has a high robust
    accuracy.
    """
    best = max((line["validation_robust_accuracy"] for line in history[ramp_epochs:]), default=0.0)
    return method == "fast" and robust_accuracy < 0.5 * best


def robust_validation(
    classifier: Classifier, batches: Batches, settings: AdversarialSettings, seed: int
) -> dict[str, float]:
    """Robust accuracy on a split under PGD at the full eps, in eval mode, after rounding to 8 bits."""
    attack, threat = PGD(steps=settings.validation_steps), Threat(settings.norm, settings.eps)
    robust = n = 0
    for pixels, labels in batches:
        x, y = to_tensor(pixels, classifier.mean.device), torch.from_numpy(labels).to(classifier.mean.device)
        robust += int((~attack(classifier, x, y, threat, seed=seed + n).success).sum())
        n += len(labels)
    return {"validation_robust_accuracy": robust / n}
