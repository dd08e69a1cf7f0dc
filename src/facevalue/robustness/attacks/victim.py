"""The classifier as an attack sees it: held still, counting what it is asked, and knowing what the attacker wants."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from facevalue.models.classifier import Classifier


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) log odds against classes y, log((1 - p_y) / p_y), of (n, k) logits and (n,) classes.

    Cross-entropy is log(1 + exp(log odds)): the two grow together, and for one image their gradients point the same
    way, so that a sign or a unit step is the same. But the gradient of cross-entropy underflows to 0 where the softmax
    is saturated, and this one does not.

    >>> log_odds(torch.tensor([[3.0, 1.0]]), torch.tensor([0]))
    tensor([-2.])
    """
    chosen = torch.nn.functional.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(chosen, float("-inf")).logsumexp(dim=1) - logits[chosen]


@dataclass
class Log:
    """What is written down about the images under attack, in their first order.

    Attributes
    ----------
    queries : (n,) int64, forward passes and gradients asked for each image, one each.
    found_by : (n,) which part of an attack of several parts turned the image; empty where none did.
    say : told in a few words how far a long attack has come.
    """

    queries: Tensor
    found_by: list[str] = field(default_factory=list)
    say: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.found_by = self.found_by or [""] * len(self.queries)


@final
class Victim:
    """A classifier under attack, asked about ``n`` images.

    Attributes
    ----------
    labels : (n,) int64, the true classes.
    target : the class that the images shall be taken for; ``None``: any but the true one.
    log : shared by all parts of these images.
    """

    def __init__(self, classifier: Classifier, labels: Tensor, target: int | None = None, log: Log | None = None):
        self._classifier = classifier
        self._rows = torch.arange(len(labels))
        self._rivals: Tensor | None = None
        self._known: tuple[Tensor, Tensor, Tensor] | None = None
        # The decision is the largest logit but for a threshold of two classes, which shifts the positive one's.
        card = classifier.card
        self._shift = torch.zeros(len(card.classes), device=labels.device)
        if card.positive_index is not None:
            threshold = torch.tensor(card.threshold, dtype=torch.float64)
            self._shift[card.positive_index] = -card.temperature * torch.logit(threshold, eps=1e-12)
        self.labels = labels
        self.target = target
        self.log = log or Log(torch.zeros(len(labels), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self._shift)

    def only(self, which: Tensor) -> Victim:
        """The same, asked only about these of its images: (m,) positions, or an (n,) mask."""
        new = copy.copy(self)
        new._known = None
        new._rows = self._rows[which.cpu()]
        new.labels = self.labels[which]
        new._rivals = None if self._rivals is None else self._rivals[which]
        return new

    def towards(self, rivals: Tensor) -> Victim:
        """The same, but :meth:`margin` looks at one rival class (n,) of each image alone."""
        new = copy.copy(self)
        new._rivals = rivals
        return new

    def per_boundary(self, logits: Tensor, most: int) -> list[Victim]:
        """Itself for each border that may be crossed: one, or where any of more than two classes will do, one a class.

        At most ``most`` classes, those with the largest ``logits`` (n, k) first.
        """
        if self.target is not None or self.classes == 2:
            return [self]
        ranked = self._levelled(logits).scatter(1, self.labels[:, None], float("-inf")).argsort(1, descending=True)
        return [self.towards(ranked[:, i]) for i in range(min(most, self.classes - 1))]

    def with_known_gradient(self, x: Tensor, gradient: Tensor, logits: Tensor) -> Victim:
        """The same, with the answer to what an attack that starts at ``x`` asks first: gradient of the odds, logits."""
        new = copy.copy(self)
        new._known = (x, gradient, logits)
        return new

    def known_gradient(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Gradient of :meth:`odds` and logits at ``x``, where it is the very tensor that they are known for."""
        return self._known[1:] if self._known is not None and self._known[0] is x else None

    def count(self) -> None:
        """One more question about each image."""
        self.log.queries[self._rows] += 1

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) logits of all its images ``x`` (n, 3, s, s) in [0, 1]; differentiable in ``x``."""
        self.count()
        return self._classifier.logits(x)

    def reached(self, logits: Tensor) -> Tensor:
        """(n,) whether the classifier, with these logits (n, k), decides as the attacker wants."""
        decided = self._classifier.decide(logits)
        if self.target is None:
            return decided != self.labels
        return (decided == self.target) & (self.labels != self.target)

    def odds(self, logits: Tensor) -> Tensor:
        """(n,) log odds against the truth, or for the target: what the attacker wants to be large.

        Where the softmax is not saturated, it climbs as cross-entropy does (see :func:`log_odds`).
        """
        if self.target is None:
            return log_odds(logits, self.labels)
        return -log_odds(logits, torch.full_like(self.labels, self.target))

    def margin(self, logits: Tensor) -> Tensor:
        """(n,) by how much the logits are beyond the border of the decision; below 0 on the wrong side of it."""
        level = self._levelled(logits)
        if self.target is not None:
            return -_lead(level, torch.full_like(self.labels, self.target))
        if self._rivals is not None:
            return (level.gather(1, self._rivals[:, None]) - level.gather(1, self.labels[:, None]))[:, 0]
        return _lead(level, self.labels)

    def found(self, by: str) -> None:
        """Write down which part of an attack turned these images."""
        for row in self._rows.tolist():
            self.log.found_by[row] = by

    def _levelled(self, logits: Tensor) -> Tensor:
        """(n, k) logits of which the largest is the class decided for."""
        return logits + self._shift.to(logits.dtype)


def _lead(logits: Tensor, classes: Tensor) -> Tensor:
    """(n,) lead of the largest other logit over that of ``classes`` (n,)."""
    chosen = torch.nn.functional.one_hot(classes, logits.shape[1]).bool()
    return logits.masked_fill(chosen, float("-inf")).amax(dim=1) - logits[chosen]
