"""The classifier as an attack sees it: held still, and counting what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from facevalue import metrics
from facevalue.classifier import Classifier


@contextmanager
def held_still(classifier: Classifier) -> Iterator[None]:
    """In eval mode and without gradients of parameters inside the block; afterwards as it was, module by module."""
    modes = [(module, module.training) for module in classifier.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    try:
        classifier.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


def decisions(classifier: Classifier, logits: Tensor) -> Tensor:
    """(n,) int64 classes decided for by the classifier's own rule, with its temperature and threshold."""
    card = classifier.card
    positive = None if card.positive is None else card.classes.index(card.positive)
    p = classifier.calibrated(logits).detach().cpu().numpy()
    return torch.from_numpy(metrics.decide(p, positive, card.threshold)).to(logits.device)


@final
class Victim:
    """A classifier under attack, asked about ``n`` pictures.

    Attributes
    ----------
    queries : (n,) int64, forward passes and gradients asked for each picture, one each.
    """

    def __init__(self, classifier: Classifier, queries: Tensor, rows: Tensor | None = None) -> None:
        self._classifier = classifier
        self._rows = torch.arange(len(queries)) if rows is None else rows
        self.queries = queries

    def __len__(self) -> int:
        return len(self._rows)

    def only(self, which: Tensor) -> Victim:
        """The same, asked only about these of its pictures: (m,) positions, or an (n,) mask."""
        return Victim(self._classifier, self.queries, self._rows[which.cpu()])

    def count(self) -> None:
        """One more question about each picture."""
        self.queries[self._rows] += 1

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) logits of all its pictures ``x`` (n, 3, s, s) in [0, 1]; differentiable in ``x``."""
        self.count()
        return self._classifier.logits(x)

    def wrong(self, logits: Tensor, y: Tensor) -> Tensor:
        """(n,) whether the classifier, with these logits, decides against the true classes ``y`` (n,)."""
        return decisions(self._classifier, logits) != y
