"""The classifier as an attack sees it: held still, and counting what it is asked."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from facevalue.classifier import Classifier


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
        return self._classifier.decide(logits) != y
