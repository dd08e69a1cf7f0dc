"""Calibration of probabilities, and the limits of abstention. Both are fitted on the calibration split."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue import decision
from facevalue.errors import DataError
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.evidence.score_reference import ScoreReference
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.networks.distance import RANK
from facevalue.support import progress

Floats = NDArray[np.floating]

TEMPERATURES = (0.05, 200.0)
"""Allowed range. A defensively distilled network needs its distillation temperature, 20 or more, with some margin."""


def fit_temperature(logits: Tensor, labels: NDArray[np.int64]) -> float:
    """The temperature with the highest likelihood on held-out images (Guo et al. 2017, arXiv:1706.04599).

    L-BFGS on its logarithm. A standard normal prior on the logarithm, which weighs less than one image, keeps the
    temperature finite if every calibration image is classified correctly; otherwise its effect is negligible.

    Parameters
    ----------
    logits : (n, k) in eval mode, of images that were not used in training.
    labels : (n,) int.
    """
    scores, truth = logits.double(), torch.from_numpy(labels)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], lr=0.5, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        fit = torch.nn.functional.cross_entropy(scores / log_t.exp(), truth, reduction="sum")
        loss = (fit + 0.5 * log_t.square()) / len(truth)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(np.clip(math.exp(log_t.item()), *TEMPERATURES))


def choose_confidence(
    p: Floats,
    labels: NDArray[np.int64],
    target: float = 0.95,
    floor: float = 0.6,
    coverage: float = 0.5,
    decided: NDArray[np.int64] | None = None,
) -> float:
    """The lowest confidence limit that reaches the ``target`` accuracy (Geifman & El-Yaniv 2017).

    Parameters
    ----------
    p : (n, k) calibrated probabilities of the calibration split.
    labels : (n,) int.
    target : wanted accuracy on the answered images of the calibration split.
    floor : lowest allowed limit.
    coverage : smallest share of images to answer. If ``target`` needs more abstentions, it is not reached, as the
        evaluation then shows.
    decided : (n,) predicted classes; the most probable ones by default. A threshold makes others.

    Returns
    -------
    A probability in [0, 1].
    """
    decided = p.argmax(axis=1) if decided is None else decided
    confidence = p[np.arange(len(p)), decided]
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(decided[order] == labels[order]) / np.arange(1, len(order) + 1)
    sorted_confidence = confidence[order]
    # A limit can only lie between two different confidences.
    ends = np.append(sorted_confidence[1:] < sorted_confidence[:-1], True)
    enough = np.arange(1, len(order) + 1) >= coverage * len(order)
    good = np.flatnonzero(ends & (right >= target) & enough)
    if len(good) and good[-1] == len(order) - 1:
        return floor  # the target is reached with all images answered
    # Halfway to the first image below the limit, so that rounding in another engine does not change a prediction.
    last = good[-1] if len(good) else np.flatnonzero(ends & enough)[0]
    following = sorted_confidence[last + 1] if last + 1 < len(order) else sorted_confidence[last]
    return max(floor, float(sorted_confidence[last] + following) / 2)


def fit_novelty(features: Tensor, labels: NDArray[np.int64], classes: int) -> dict[str, Tensor]:
    """Buffers for :meth:`Classifier.novelty`, fitted to the features of the training split.

    Parameters
    ----------
    features : (n, d) float.
    labels : (n,) int.
    """
    x, y = features.double(), torch.from_numpy(labels)
    n, d = x.shape
    means = torch.stack([x[y == c].mean(0) for c in range(classes)])
    spread = x - means[y]
    rank = min(d, RANK)
    values, vectors = _principal(spread / math.sqrt(max(1, n - classes)), rank)
    total = spread.square().sum() / max(1, n - classes)
    # The mean of the remaining variances (Tipping & Bishop 1999); the floor bounds the weight of constant features.
    rest = ((total - values.sum()) / (d - rank)).clamp_min(0) if d > rank else values[-1]
    floor = 1e-6 * total / d + 1e-12
    return {
        "novelty_means": means.float(),
        "novelty_basis": vectors.contiguous().float(),
        "novelty_scale": values.clamp_min(max(rest, floor)).sqrt().float(),
        "novelty_rest": rest.clamp_min(floor).sqrt().float(),
    }


def _principal(x: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(rank,) largest eigenvalues of ``x.T @ x`` for x (n, d), in descending order, and (d, rank) eigenvectors.

    If there are fewer than ``rank`` directions, the others get eigenvalue 0 and a zero vector, and belong to the rest
    of the space.
    """
    n, d = x.shape
    if d <= n:
        values, vectors = eigh(x.T @ x)
        return values.flip(0)[:rank].clamp_min(0), vectors.flip(1)[:, :rank]
    # The same from n x n products: d x d ones take minutes and gigabytes with thousands of features.
    values, left = eigh(x @ x.T)
    values, left = values.flip(0)[:rank], left.flip(1)[:, :rank]
    sure = values > 1e-9 * values[0]  # smaller ones have directions from rounding only
    found = x.T @ (left * torch.where(sure, values, 1).rsqrt() * sure)
    pad = rank - len(values)
    return nn.functional.pad(values * sure, (0, pad)), nn.functional.pad(found, (0, pad))


def eigh(a: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) eigenvalues of a symmetric matrix (n, n) in ascending order, and (n, n) eigenvectors as columns.

    Divide and conquer; if that does not converge (it can fail with many nearly equal eigenvalues), the slower QR
    algorithm, so that the training run is not lost.
    """
    try:
        values, vectors = torch.linalg.eigh(a)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        from scipy import linalg

        values, vectors = (torch.from_numpy(part) for part in linalg.eigh(a.numpy(), driver="ev"))
    return values, vectors


def novelty_limit(novelty: Floats, quantile: float = 0.99) -> float:
    """The distance that a calibration-like image exceeds with a probability of at most 1 - ``quantile``.

    The conformal order statistic (Vovk et al. 2005): the ceil((n + 1) quantile)-th smallest distance. With too few
    images for it, 1.1 times the largest.
    """
    ordered = np.sort(novelty)
    rank = math.ceil((len(ordered) + 1) * quantile)
    return float(ordered[rank - 1] if rank <= len(ordered) else ordered[-1] * 1.1)


def with_novelty(classifier: Classifier, train: Features) -> Classifier:
    """A classifier with novelty fitted to the features of its training split."""
    with progress.work("fitting novelty", 1, "fits") as work:
        buffers = fit_novelty(train.x, train.y, len(classifier.card.classes))
        work.advance()
    return classifier.changed(buffers=buffers)


def calibrated(
    classifier: Classifier, held_out: Features, *, target: float = 0.95, floor: float = 0.6, quantile: float = 0.99
) -> Classifier:
    """A classifier with temperature and abstention limits fitted on ``held_out``, for one network input per answer.

    Parameters
    ----------
    held_out : features of the calibration split, which is used in no training and is not the test split.
    target, floor : see :func:`choose_confidence`.
    quantile : see :func:`novelty_limit`.

    Raises
    ------
    DataError
        A class has no image in ``held_out``.
    """
    card: ModelCard = classifier.card
    absent = [c for i, c in enumerate(card.classes) if not (held_out.y == i).any()]
    if absent:
        raise DataError(f"calibration needs images of every class, but there are none of {', '.join(absent)}")
    card = card.changed(temperature=fit_temperature(held_out.logits(classifier), held_out.y), stability=None)
    classifier = classifier.changed(card)
    p = held_out.probabilities(classifier)
    decided = decision.decide(p, card.positive_index, card.threshold)
    abstention = Abstention(
        confidence=choose_confidence(p, held_out.y, target, floor, decided=decided),
        novelty=novelty_limit(held_out.novelty(classifier), quantile),
        target=target,
        n=len(held_out.y),
    )
    reference = ScoreReference.of(
        "calibration", held_out.novelty(classifier), held_out.logits(classifier).double().numpy()
    )
    return classifier.changed(card.changed(abstention=abstention, reference=reference))
