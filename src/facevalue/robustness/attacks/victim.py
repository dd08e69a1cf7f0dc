"""The classifier as an attack uses it: frozen, with a query counter and the attacker's goal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from facevalue.models.classifier import Classifier


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) log odds against classes y, log((1 - p_y) / p_y), from logits (n, k) and classes (n,).

    Cross-entropy is log(1 + exp(log odds)), so for one image the gradients have the same direction, and a sign or unit
    step is equal. But the gradient of cross-entropy underflows to 0 if the softmax is saturated; this one does not.

    >>> log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    tensor([-2.])
    """
    chosen = torch.nn.functional.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(chosen, float("-inf")).logsumexp(dim=1) - logits[chosen]


@dataclass
class Log:
    """Records of an attack, in the original order of the images.

    Attributes
    ----------
    queries : (n,) int64, number of forward passes plus gradients for each image.
    found_by : (n,) for an attack with several parts, the part that succeeded; else empty.
    say : called with short progress texts.
    """

    queries: Tensor
    found_by: list[str] = field(default_factory=list)
    say: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.found_by = self.found_by or [""] * len(self.queries)


@final
class Victim:
    """A classifier under attack, for ``n`` images.

    Attributes
    ----------
    labels : (n,) int64 true classes.
    target : class that the attacker wants to be predicted; ``None``: any wrong class.
    log : shared by all views of these images.
    """

    def __init__(self, classifier: Classifier, labels: Tensor, target: int | None = None, log: Log | None = None):
        self._classifier = classifier
        self._rows = torch.arange(len(labels))
        self._rivals: Tensor | None = None
        self._known: tuple[Tensor, Tensor, Tensor] | None = None
        self.labels = labels
        self.target = target
        self.log = log or Log(torch.zeros(len(labels), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self._classifier.classes)

    def only(self, which: Tensor) -> Victim:
        """A view for a subset of the images: (m,) positions, or an (n,) mask."""
        new = copy.copy(self)
        new._known = None
        new._rows = self._rows[which.cpu()]
        new.labels = self.labels[which]
        new._rivals = None if self._rivals is None else self._rivals[which]
        return new

    def towards(self, rivals: Tensor) -> Victim:
        """A view whose :meth:`margin` considers only one rival class (n,) per image."""
        new = copy.copy(self)
        new._rivals = rivals
        return new

    def per_boundary(self, logits: Tensor, most: int) -> list[Victim]:
        """One view per decision boundary that the attack may cross.

        One per wrong class for an untargeted attack with more than two classes, else one in all. At most ``most``
        classes, those with the largest ``logits`` (n, k) first.
        """
        if self.target is not None or self.classes == 2:
            return [self]
        ranked = self._levelled(logits).scatter(1, self.labels[:, None], float("-inf")).argsort(1, descending=True)
        return [self.towards(ranked[:, i]) for i in range(min(most, self.classes - 1))]

    def with_known_gradient(self, x: Tensor, gradient: Tensor, logits: Tensor) -> Victim:
        """A view that already knows the gradient of the log odds and the logits at ``x``, the start of the attack."""
        new = copy.copy(self)
        new._known = (x, gradient, logits)
        return new

    def known_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Gradient of :meth:`odds` and logits at ``x``, if known; ``x`` must be the same tensor object."""
        return self._known[1:] if self._known is not None and self._known[0] is x else None

    def count(self) -> None:
        """Add one query for each image."""
        self.log.queries[self._rows] += 1

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) logits of ``x`` (n, 3, s, s) in [0, 1], one per image of this view; differentiable in ``x``."""
        self.count()
        return self._classifier.logits(x)

    def reached(self, logits: Tensor) -> Tensor:
        """(n,) whether the attack succeeds with these logits (n, k)."""
        decided = self._classifier.decide(logits)
        if self.target is None:
            return decided != self.labels
        return (decided == self.target) & (self.labels != self.target)

    def odds(self, logits: Tensor) -> Tensor:
        """(n,) log odds against the true class, or for the target: the attacker maximises this.

        Unless the softmax is saturated, it has the gradient direction of cross-entropy (see :func:`log_odds`).
        """
        if self.target is None:
            return log_odds(logits, self.labels)
        return -log_odds(logits, torch.full_like(self.labels, self.target))

    def margin(self, logits: Tensor) -> Tensor:
        """(n,) how far the logits are beyond the decision boundary; below 0 if the attack does not succeed."""
        level = self._levelled(logits)
        if self.target is not None:
            return -_lead(level, torch.full_like(self.labels, self.target))
        if self._rivals is not None:
            return (level.gather(1, self._rivals[:, None]) - level.gather(1, self.labels[:, None]))[:, 0]
        return _lead(level, self.labels)

    def found(self, by: str) -> None:
        """Record which part of an attack succeeded on these images."""
        for row in self._rows.tolist():
            self.log.found_by[row] = by

    def _levelled(self, logits: Tensor) -> Tensor:
        """(n, k) logits shifted by the threshold and by calibration, so that the largest is the predicted class."""
        return self._classifier.levels(logits)


def _lead(logits: Tensor, classes: Tensor) -> Tensor:
    """(n,) largest other logit minus the logit of ``classes`` (n,)."""
    chosen = torch.nn.functional.one_hot(classes, logits.shape[1]).bool()
    return logits.masked_fill(chosen, float("-inf")).amax(dim=1) - logits[chosen]
