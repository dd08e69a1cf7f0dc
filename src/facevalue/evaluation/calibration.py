"""Calibration of probabilities, and the limits of abstention. Both are fitted on the calibration split."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.errors import DataError
from facevalue.evaluation.answer_limits import Answerable, CalibrationChoices, answer_limits, parts_of
from facevalue.evaluation.calibration_choice import Fitted, chosen
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evidence.card import Calibration, ModelCard
from facevalue.evidence.score_reference import ScoreReference
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.networks.distance import RANK

Floats = NDArray[np.floating]


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
    buffers = fit_novelty(train.x, train.y, len(classifier.card.classes))
    return classifier.changed(buffers=buffers)


def calibrated(classifier: Classifier, held_out: CalibrationSet, choices: CalibrationChoices) -> Classifier:
    """A classifier with temperature, calibration method and limits of abstention fitted on ``held_out``.

    Parameters
    ----------
    held_out : features of the calibration split, which is used in no training and is not the test split.

    Raises
    ------
    DataError
        A class has no image in ``held_out``.
    UsageError
        What is asked for is defined for two classes only.
    """
    card: ModelCard = classifier.card
    absent = [c for i, c in enumerate(card.classes) if not (held_out.images.y == i).any()]
    if absent:
        raise DataError(f"calibration needs images of every class, but there are none of {', '.join(absent)}")
    methods = choices.methods(len(card.classes))
    rows = held_out.rows(classifier)
    fitting, limiting = parts_of(rows, choices, methods)
    method, log_loss = chosen(rows.take(fitting), methods) if len(methods) > 1 else (methods[0], {})
    fitted = Fitted.on(rows.take(fitting), method)
    calibration = Calibration(
        method=method, parameters=dict(fitted.parameters), images=held_out.counts, log_loss=log_loss
    )
    card = card.changed(temperature=fitted.temperature, calibration=calibration)
    novelty = held_out.images.novelty(classifier)
    limit = novelty_limit(novelty, choices.quantile)
    far = np.concatenate([part.features.novelty(classifier) for part in held_out.conditions]) > limit
    part = Answerable(rows.take(limiting), fitted.probabilities(rows.logits[limiting]), far[limiting], held_out.sources)
    abstention = answer_limits(card, part, choices).changed(novelty=limit, n=len(held_out.images))
    reference = ScoreReference.of("calibration", novelty, held_out.images.logits(classifier).double().numpy())
    return classifier.changed(card.changed(abstention=abstention, reference=reference))
