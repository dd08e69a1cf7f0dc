"""Measures how faithful a method is: insertion and deletion areas, and the weight-randomisation check."""

from __future__ import annotations

import copy
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.evaluation.metrics import mean_interval
from facevalue.evidence.records import ExplanationFigures
from facevalue.explanations.areas import insertion_and_deletion
from facevalue.explanations.base import Explanation, Heat
from facevalue.models.classifier import Classifier, frozen
from facevalue.support import progress

_SHUFFLED = 4  # images of a batch that are explained once more with shuffled weights


@final
class Measure:
    """Collects the figures of one method over batches of images.

    Parameters
    ----------
    classifier : not changed.
    method : the method that made the heat.
    seed : of the shuffled weights and of the order of pixels with equal heat. Each batch has other shuffled weights.
    """

    def __init__(self, classifier: Classifier, method: Explanation, seed: int = 0) -> None:
        self.classifier, self.method, self.seed = classifier, method, seed
        self._batches = 0
        self._empty = 0
        self._vanished = 0
        self._seconds: float | None = 0.0
        self._insertion: list[float] = []
        self._deletion: list[float] = []
        self._correlation: list[float] = []

    def add(self, x: Tensor, heat: Heat, seconds: float | None = None) -> None:
        """Measure one batch.

        Parameters
        ----------
        x : (n, 3, s, s) float in [0, 1].
        heat : of these images by this method.
        seconds : that it took to explain them, if known.
        """
        seed = self.seed + self._batches
        self._batches += 1
        self._seconds = None if seconds is None or self._seconds is None else self._seconds + seconds
        warm = heat.heat.max((1, 2)) > 0
        self._empty += int((~warm).sum())
        if not warm.any():
            return
        x, target = x[torch.from_numpy(warm).to(x.device)], torch.from_numpy(heat.target[warm]).to(x.device)
        with frozen(self.classifier):
            inserted, deleted = insertion_and_deletion(
                self.classifier, x, torch.from_numpy(heat.heat[warm]).to(x.device), target, seed
            )
        self._insertion += inserted.tolist()
        self._deletion += deleted.tolist()
        with progress.using(progress.Silent()):  # findings about a network of shuffled weights concern nobody
            other = self.method(shuffled(self.classifier, seed), x[:_SHUFFLED], target[:_SHUFFLED])
        for own, random in zip(heat.raw[warm][:_SHUFFLED], other.raw, strict=True):
            found = rank_correlation(own.clip(0), random.clip(0))
            if found is None:
                self._vanished += 1
            else:
                self._correlation.append(found)

    def figures(self) -> ExplanationFigures:
        """The figures over all images that were added."""
        insertion, deletion = np.array(self._insertion), np.array(self._deletion)
        n = len(insertion)
        return ExplanationFigures(
            method=self.method.name,
            n=n,
            empty=self._empty,
            insertion=_mean(insertion),
            insertion_ci=mean_interval(insertion, 0, 1),
            deletion=_mean(deletion),
            deletion_ci=mean_interval(deletion, 0, 1),
            gain=_mean(insertion - deletion),
            gain_ci=mean_interval(insertion - deletion, -1, 1),
            rank_correlation=_mean(np.array(self._correlation)),
            rank_correlation_ci=mean_interval(np.array(self._correlation), -1, 1),
            rank_correlation_n=len(self._correlation),
            vanished=self._vanished,
            seconds_per_image=None if self._seconds is None else self._seconds / max(1, n + self._empty),
        )


def shuffled(classifier: Classifier, seed: int) -> Classifier:
    """The classifier with the numbers of each weight tensor in random order; ``classifier`` does not change.

    The data-independent check of Adebayo et al. 2018, arXiv:1810.03292. Shuffling instead of drawing anew keeps the
    scale of each layer, so that the network does not saturate.
    """
    body = copy.deepcopy(classifier.body)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in body.parameters():
            places = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            weights.copy_(weights.flatten()[places].view_as(weights))
    return Classifier(body, classifier.card).to(classifier.mean.device).eval()


def rank_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float | None:
    """Spearman's rank correlation of two maps of equal shape; ``None`` if one of them is the same everywhere."""
    from scipy.stats import rankdata

    ranks = [rankdata(one) for one in (a, b)]
    if any(np.ptp(one) == 0 for one in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
