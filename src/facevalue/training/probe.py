"""A linear head on frozen features, its strength chosen on validation."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from facevalue.evaluation import metrics
from facevalue.evaluation.calibration import eigh, fit_temperature
from facevalue.training.settings import ProbeSettings


@dataclass(frozen=True)
class Probe:
    """A fitted head: ``weight`` (k, d), ``bias`` (k,), the strength chosen, and a history line a strength.

    ``sharpness`` is what the head's scores were multiplied by after the fit: 1 for logistic regression.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    sharpness: float
    history: list[dict[str, Any]]

    def put_into(self, head: nn.Linear) -> None:
        """Copy into a network's last layer."""
        with torch.no_grad():
            head.weight.copy_(self.weight)
            head.bias.copy_(self.bias)


def fit_probe(
    train: tuple[Tensor, NDArray[np.int64]],
    validation: tuple[Tensor, NDArray[np.int64]],
    classes: int,
    settings: ProbeSettings,
    balanced: bool = False,
    kinds: Sequence[int] = (),
    differences: Sequence[Differences] = (),
) -> Probe:
    """A linear head on frozen features with an L2 penalty: multinomial logistic regression, or regression on 0 and 1.

    Logistic regression is the usual probe (Kornblith et al. 2019, arXiv:1805.08974). Where features outnumber images
    many times the classes can always be parted, and it attends to the few images nearest to the border; ``squared``
    loss attends to all (Hui & Belkin 2021, arXiv:2006.07322), as a linear discriminant does.

    Features are centred, and scaled as a whole: scaling each would let those that hardly vary in training weigh as much
    as the rest. Where the weak ones are what matters, as in matrices of covariances, ``scale`` can say ``each``. Then a
    kind of a hundred times as many features decides a hundred times as much; with ``kind`` it is ten times, between
    that and all kinds alike.

    What is everywhere in an image, as a camera's or a generator's traces are, shows in its quarters alike; what sets
    them apart is what is in the image. And what sets a copy that was saved again apart from its image is how it was
    saved. With such ``differences`` the head is held to heed neither, as variation between recordings of one speaker is
    taken out of speaker recognition (Hatch et al. 2006, *Within-class covariance normalization for SVM-based speaker
    recognition*).

    Parameters
    ----------
    train, validation : features (n, d) and labels (n,).
    settings : ``strengths``, inverse penalties that mean the same for any n: scikit-learn's ``C`` of logistic
        regression times n over 1000; or, for ``squared`` loss, the mean square length over ridge regression's
        ``alpha``. ``scale``: whether features are scaled by one number or by one ``each``, their deviation in training,
        and with ``kind`` by the fourth root of how many there are of their kind as well.
    kinds : widths of the kinds of features, which add up to d; empty where all are of one.
    balanced : whether every class weighs alike, however many images it has.
    differences : what is to make none to scores; for ``squared`` loss.

    Returns
    -------
    The most regularised probe whose validation loss is within one standard error of the lowest (Breiman et al. 1984),
    where a standard error is never less than one image's nat. The losses are log-likelihoods at each probe's own best
    temperature, since the temperature is fitted later: else the sharpest would win wherever validation is separable.
    """
    space = _Space.of(train[0], settings, kinds, within=not differences)
    fitted, held_out = space.inside(train[0]), space.inside(validation[0])
    history: list[dict[str, Any]] = []
    tried: list[tuple[float, float, NDArray[np.float64], Linear]] = []
    y = train[1]
    fits = _fits(settings, space, fitted, y, balanced, differences)
    for epoch, strength in enumerate(sorted(settings.strengths)):
        start = time.perf_counter()
        head = fits(strength)
        assert head.weight.shape[0] == classes
        sharpness = 1.0
        if settings.loss == "squared":
            sharpness = 1 / fit_temperature(torch.from_numpy(head.scores(held_out)), validation[1])
            head = head.times(sharpness)
        p, q = (softmax(head.scores(part), 1) for part in (fitted, held_out))
        losses = _losses(q, validation[1])
        history.append(
            {
                "epoch": epoch,
                "phase": "probe",
                "strength": strength,
                "train_loss": metrics.nll(y, p),
                "train_accuracy": float((p.argmax(1) == y).mean()),
                "validation_loss": metrics.nll(validation[1], q),
                "validation_accuracy": float((q.argmax(1) == validation[1]).mean()),
                "seconds": time.perf_counter() - start,
            }
        )
        tried.append((strength, sharpness, losses, head))
    lowest = min((losses for *_, losses, _ in tried), key=lambda losses: float(losses.mean()))
    limit = lowest.mean() + max(lowest.std() / np.sqrt(len(lowest)), 1 / len(lowest))
    strength, sharpness, _, chosen = next(entry for entry in tried if entry[2].mean() <= limit)
    return Probe(*space.outside(chosen), strength, sharpness, history)


def refit(
    probe: Probe,
    x: Tensor,
    y: NDArray[np.int64],
    settings: ProbeSettings,
    balanced: bool = False,
    kinds: Sequence[int] = (),
    differences: Sequence[Differences] = (),
) -> Probe:
    """The same on other images, as a rule on more: strength and sharpness stay what was chosen."""
    space = _Space.of(x, settings, kinds, within=not differences)
    head = _fits(settings, space, space.inside(x), y, balanced, differences)(probe.strength).times(probe.sharpness)
    weight, bias = space.outside(head)
    return replace(probe, weight=weight, bias=bias)


@dataclass(frozen=True)
class Differences:
    """(m, d) between features, that are to make none to scores.

    Attributes
    ----------
    weight : of the square of each one's score, beside the squared errors of images.
    """

    features: Tensor
    weight: float

    @classmethod
    def between_quarters(cls, quarters: Tensor, weight: float) -> Differences:
        """Of every image's (n, 4, d) quarters from their mean; ``weight`` is of an image's four together."""
        return cls((quarters - quarters.mean(1, keepdim=True)).flatten(0, 1).float(), weight / 4)


@dataclass(frozen=True)
class Linear:
    """(k, d) weights and (k,) biases, one row per class."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, d) to (n, k)."""
        return x @ self.weight.T + self.bias

    def times(self, factor: float) -> Linear:
        """All scores multiplied."""
        return Linear(factor * self.weight, factor * self.bias)


@dataclass(frozen=True)
class _Space:
    """Where a head is fitted: features less their mean, over their scale, within the span of few images."""

    mean: NDArray[np.float64]
    unit: NDArray[np.float64]
    basis: NDArray[np.float64] | None

    @classmethod
    def of(cls, features: Tensor, settings: ProbeSettings, kinds: Sequence[int], within: bool) -> _Space:
        """Of the features learned from; within their span, or not where differences may lie outside it."""
        x = features.double().numpy()
        mean, variances = x.mean(0), x.var(0)
        floor = 1e-6 * variances.mean() + 1e-24  # a feature that never varies is not to be blown up
        unit = np.sqrt((variances.mean() if settings.scale == "whole" else variances) + floor)
        if settings.scale == "kind" and kinds:
            unit = unit * np.repeat(np.power(kinds, 0.25), kinds)
        n, d = x.shape
        return cls(mean, unit, _span((x - mean) / unit) if n < d and within else None)

    def inside(self, features: Tensor) -> NDArray[np.float64]:
        x: NDArray[np.float64] = (features.double().numpy() - self.mean) / self.unit
        return x if self.basis is None else x @ self.basis

    def outside(self, head: Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias for features as they are."""
        weight = (head.weight if self.basis is None else head.weight @ self.basis.T) / self.unit
        return torch.from_numpy(weight).float(), torch.from_numpy(head.bias - weight @ self.mean).float()


def _fits(
    settings: ProbeSettings,
    space: _Space,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    balanced: bool,
    differences: Sequence[Differences],
) -> Callable[[float], Linear]:
    """What fits a head in this space, to be asked with growing strengths."""
    if settings.loss == "logistic":
        return _logistic(x, y, balanced)
    if not differences:
        return _squared(x, y, balanced)
    return _squared_with_differences(x, y, balanced, differences, space.unit)


def _logistic(x: NDArray[np.float64], y: NDArray[np.int64], balanced: bool) -> Callable[[float], Linear]:
    """Each fit starts from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500, warm_start=True, class_weight="balanced" if balanced else None)

    def fit(strength: float) -> Linear:
        model.set_params(C=strength * 1000 / len(y))
        with warnings.catch_warnings():
            # Nearly unpenalised fits of separable data go on for ever; their loss on validation judges them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        if len(model.classes_) > 2:
            return Linear(model.coef_.copy(), model.intercept_.copy())
        # One row: the log odds of the second class, shared out to two logits.
        return Linear(*(np.concatenate([-part, part]) / 2 for part in (model.coef_, model.intercept_)))

    return fit


def _goals(y: NDArray[np.int64], balanced: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, k) 1 for the class and 0 for the others, and (n,) how much each image weighs."""
    from sklearn.utils.class_weight import compute_sample_weight

    return np.eye(int(y.max()) + 1)[y], compute_sample_weight("balanced" if balanced else None, y)


def _squared(x: NDArray[np.float64], y: NDArray[np.int64], balanced: bool) -> Callable[[float], Linear]:
    from sklearn.linear_model import Ridge

    targets, weights = _goals(y, balanced)
    length = float(np.mean((x**2).sum(1)))

    def fit(strength: float) -> Linear:
        model = Ridge(alpha=length / strength).fit(x, targets, sample_weight=weights)
        return Linear(model.coef_, model.intercept_)

    return fit


def _squared_with_differences(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    balanced: bool,
    differences: Sequence[Differences],
    unit: NDArray[np.float64],
) -> Callable[[float], Linear]:
    """As :func:`_squared`, with every difference a row whose score should be nothing, and which has no intercept."""
    from sklearn.linear_model import Ridge

    targets, weights = _goals(y, balanced)
    x_mean, mean = (np.average(part, axis=0, weights=weights) for part in (x, targets))
    roots = np.sqrt(weights)[:, None]
    # Single precision and as few copies as can be: rows may be six times as many as images, and are not cut down to
    # the images' span.
    rows = np.empty((len(x) + sum(len(part.features) for part in differences), x.shape[1]), np.float32)
    rows[: len(x)] = roots * (x - x_mean)
    end = len(x)
    for part in differences:
        start, end = end, end + len(part.features)
        np.multiply(part.features.numpy(), np.sqrt(part.weight) / unit, out=rows[start:end], casting="same_kind")
    goals = np.zeros((len(rows), targets.shape[1]), np.float32)
    goals[: len(x)] = roots * (targets - mean)
    length = float(np.mean((x**2).sum(1)))

    def fit(strength: float) -> Linear:
        ridge = Ridge(alpha=length / strength, fit_intercept=False, copy_X=False).fit(rows, goals)
        weight = ridge.coef_.astype(np.float64)
        return Linear(weight, mean - weight @ x_mean)

    return fit


def _span(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, r) orthonormal directions that hold all of x (n, d), r <= n < d.

    The penalised fit lies within them and is the same there, with as many numbers to find as there are images.
    """
    values, vectors = (part.numpy() for part in eigh(torch.from_numpy(x @ x.T)))
    kept = values > 1e-10 * values[-1]
    directions: NDArray[np.float64] = x.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return directions


def _losses(p: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) negative log-likelihoods in nats at the best temperature."""
    scores = torch.from_numpy(np.log(np.clip(p, 1e-300, 1)))
    scaled = torch.log_softmax(scores / fit_temperature(scores, labels), dim=1).numpy()
    losses: NDArray[np.float64] = -scaled[np.arange(len(labels)), labels]
    return losses
