"""A linear head on frozen features; validation chooses the strength of its penalty."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from facevalue.evaluation import metrics
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.eigen import eigh
from facevalue.support import progress
from facevalue.support.few_images import sure_of_classes
from facevalue.training.consistent_fit import BLOCK, Differences, Rows, Solver
from facevalue.training.settings import ProbeSettings


@dataclass(frozen=True)
class Probe:
    """A fitted head: ``weight`` (k, d), ``bias`` (k,), the chosen strength, and one history line per strength.

    ``sharpness`` is the factor that the head's scores were multiplied with after the fit: 1 for logistic regression.
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


@sure_of_classes()
def fit_probe(
    train: tuple[Tensor, NDArray[np.int64]],
    validation: tuple[Tensor, NDArray[np.int64]],
    classes: int,
    settings: ProbeSettings,
    balanced: bool = False,
    kinds: Sequence[int] = (),
    differences: Sequence[Differences] = (),
) -> Probe:
    """Fit a linear head with an L2 penalty on frozen features, by logistic or by squared loss.

    Logistic regression is the usual probe (Kornblith et al. 2019, arXiv:1805.08974). With many more features than
    images the classes are always separable, and it depends on the few images nearest to the boundary; squared loss uses
    all images (Hui & Belkin 2021, arXiv:2006.07322).

    ``differences`` are penalised for changing the scores. Differences between the quarters of an image show its
    content, not the traces of a camera or generator, which are everywhere; differences between an image and its
    re-saved copy show only how it was saved. Speaker recognition removes variation between recordings the same way
    (Hatch et al. 2006, *Within-class covariance normalization for SVM-based speaker recognition*).

    Parameters
    ----------
    train, validation : features (n, d) and labels (n,).
    settings : ``strengths``, inverse penalties independent of n: ``C`` * n / 1000 for scikit-learn's logistic
        regression; for squared loss, the mean squared length of the features divided by ridge regression's ``alpha``.
        ``scale``: divide centred features by one number (``whole``), each by its own deviation (``each``), or by that
        and the fourth root of the number of features of its kind (``kind``), so that large kinds dominate less.
    kinds : widths of the kinds of features, which add up to d; empty if all are of one kind.
    balanced : whether every class has the same total weight.
    differences : feature differences that should not change the scores; only for squared loss.

    Returns
    -------
    The most regularised probe whose validation loss is within one standard error of the lowest (Breiman et al. 1984).
    The standard error is at least 1/n nats. Each loss is taken at the probe's own best temperature, because the
    temperature is fitted later; otherwise the sharpest probe would win on separable validation images.
    """
    space = _Space.of(train[0], settings, kinds, within=not differences)
    history: list[dict[str, Any]] = []
    tried: list[tuple[float, float, NDArray[np.float64], Linear]] = []
    y = train[1]
    if differences:
        fits = _squared_with_differences(train[0], y, balanced, differences, space)
        fitted, held_out = (partial(space.scores, features) for features in (train[0], validation[0]))
    else:
        inside = space.inside(train[0]), space.inside(validation[0])
        fits = _fits(settings, inside[0], y, balanced)
        fitted, held_out = (partial(_scores, x) for x in inside)
    for epoch, strength in enumerate(progress.track(sorted(settings.strengths), "fitting the head", unit="strengths")):
        start = time.perf_counter()
        head = fits(strength)
        assert head.weight.shape[0] == classes
        sharpness, scores = 1.0, held_out(head)
        if settings.loss == "squared":
            sharpness = 1 / fit_temperature(torch.from_numpy(scores), validation[1])
            head, scores = head.times(sharpness), sharpness * scores
        p, q = softmax(fitted(head), 1), softmax(scores, 1)
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


@sure_of_classes()
def refit(
    probe: Probe,
    x: Tensor,
    y: NDArray[np.int64],
    settings: ProbeSettings,
    balanced: bool = False,
    kinds: Sequence[int] = (),
    differences: Sequence[Differences] = (),
) -> Probe:
    """Fit the head again on other (usually more) images, with the strength and sharpness of ``probe``."""
    space = _Space.of(x, settings, kinds, within=not differences)
    fits = (
        _squared_with_differences(x, y, balanced, differences, space)
        if differences
        else _fits(settings, space.inside(x), y, balanced)
    )
    head = fits(probe.strength).times(probe.sharpness)
    weight, bias = space.outside(head)
    return replace(probe, weight=weight, bias=bias)


@dataclass(frozen=True)
class Linear:
    """A linear function: (k, d) weights and (k,) biases, one row per class."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (n, k) of features (n, d)."""
        return x @ self.weight.T + self.bias

    def times(self, factor: float) -> Linear:
        """The function with all scores multiplied by ``factor``."""
        return Linear(factor * self.weight, factor * self.bias)


@dataclass(frozen=True)
class _Space:
    """The coordinates in which a head is fitted: centred, scaled features; projected to their span if n < d."""

    mean: NDArray[np.float64]
    unit: NDArray[np.float64]
    basis: NDArray[np.float64] | None

    @classmethod
    def of(cls, features: Tensor, settings: ProbeSettings, kinds: Sequence[int], within: bool) -> _Space:
        """The space of training features; ``within`` projects to their span, which differences may lie outside of."""
        n, d = features.shape
        moments = [_moments(features[:, start : start + BLOCK]) for start in range(0, d, BLOCK)]
        mean, variances = (np.concatenate(parts) for parts in zip(*moments, strict=True))
        floor = 1e-6 * variances.mean() + 1e-24  # a constant feature must not be scaled up
        unit = np.sqrt((variances.mean() if settings.scale == "whole" else variances) + floor)
        if settings.scale == "kind" and kinds:
            unit = unit * np.repeat(np.power(kinds, 0.25), kinds)
        whole = cls(mean, unit, None)
        return replace(whole, basis=_span(whole.inside(features))) if n < d and within else whole

    def inside(self, features: Tensor) -> NDArray[np.float64]:
        x: NDArray[np.float64] = (features.double().numpy() - self.mean) / self.unit
        return x if self.basis is None else x @ self.basis

    def scores(self, features: Tensor, head: Linear) -> NDArray[np.float64]:
        """(n, k) scores of features, some at a time: in double precision all may not fit into memory."""
        return np.concatenate([head.scores(self.inside(part)) for part in _some_rows(features)])

    def mean_squared_length(self, features: Tensor) -> float:
        """Of the features inside this space."""
        return sum(float(np.square(self.inside(part)).sum()) for part in _some_rows(features)) / len(features)

    def outside(self, head: Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias for the original features."""
        weight = (head.weight if self.basis is None else head.weight @ self.basis.T) / self.unit
        return torch.from_numpy(weight).float(), torch.from_numpy(head.bias - weight @ self.mean).float()


def _fits(
    settings: ProbeSettings, x: NDArray[np.float64], y: NDArray[np.int64], balanced: bool
) -> Callable[[float], Linear]:
    """A function that fits a head to features for a strength; call it with growing strengths."""
    return _logistic(x, y, balanced) if settings.loss == "logistic" else _squared(x, y, balanced)


def _scores(x: NDArray[np.float64], head: Linear) -> NDArray[np.float64]:
    return head.scores(x)


def _some_rows(features: Tensor) -> Sequence[Tensor]:
    """Parts of (n, d) features, a few megabytes each in double precision."""
    return torch.split(features, max(1, 2**19 // features.shape[1]))


def _moments(x: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(b,) means and variances of features (n, b)."""
    values = x.double().numpy()
    return values.mean(0), values.var(0)


def _logistic(x: NDArray[np.float64], y: NDArray[np.int64], balanced: bool) -> Callable[[float], Linear]:
    """Logistic regression; each fit starts from the previous one."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500, warm_start=True, class_weight="balanced" if balanced else None)

    def fit(strength: float) -> Linear:
        model.set_params(C=strength * 1000 / len(y))
        with warnings.catch_warnings():
            # Nearly unpenalised fits of separable data never converge; their validation loss decides.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        if len(model.classes_) > 2:
            return Linear(model.coef_.copy(), model.intercept_.copy())
        # One row, the log odds of the second class: split into two logits.
        return Linear(*(np.concatenate([-part, part]) / 2 for part in (model.coef_, model.intercept_)))

    return fit


def _goals(y: NDArray[np.int64], balanced: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, k) one-hot targets, and (n,) sample weights."""
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
    x: Tensor, y: NDArray[np.int64], balanced: bool, differences: Sequence[Differences], space: _Space
) -> Callable[[float], Linear]:
    """As :func:`_squared`, plus one row per difference with target 0 and no intercept."""
    targets, weights = _goals(y, balanced)
    mean = np.average(targets, axis=0, weights=weights)
    rows = Rows.of(x, weights, space.unit, differences)
    solver = Solver.of(rows, targets - mean)
    length = space.mean_squared_length(x)

    def fit(strength: float) -> Linear:
        weight = solver.weight(length / strength)
        return Linear(weight, mean - weight @ ((rows.middle - space.mean) / space.unit))

    return fit


def _span(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, r) orthonormal basis of the rows of x (n, d), r <= n < d.

    The penalised solution lies in this span, so the fit is the same there and has only r unknowns per class.
    """
    values, vectors = (part.numpy() for part in eigh(torch.from_numpy(x @ x.T)))
    kept = values > 1e-10 * values[-1]
    directions: NDArray[np.float64] = x.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return directions


def _losses(p: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) negative log-likelihoods in nats, at the best temperature."""
    scores = torch.from_numpy(np.log(np.clip(p, 1e-300, 1)))
    scaled = torch.log_softmax(scores / fit_temperature(scores, labels), dim=1).numpy()
    losses: NDArray[np.float64] = -scaled[np.arange(len(labels)), labels]
    return losses
