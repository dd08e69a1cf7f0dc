"""Randomised smoothing: majority vote over noisy copies, with certified radii.

Cohen, Rosenfeld & Kolter 2019, arXiv:1902.02918. The smoothed classifier predicts the class that the base classifier
predicts most often under Gaussian noise. If that class has a probability of at least p > 1/2 under the noise, no
change shorter than sigma * Phi^-1(p) in L2 changes the prediction. p is bounded from below by the exact binomial
interval of Clopper & Pearson, so each certificate is wrong with a probability of at most alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier, frozen

ABSTAINED = -1


@final
@dataclass(frozen=True)
class Smoothing:
    """Settings of a certificate.

    Attributes
    ----------
    sigma : standard deviation of the noise, for pixels of the network input in [0, 1].
    n0 : number of noisy copies to choose the class.
    samples : number of noisy copies to bound its probability; more copies allow larger radii.
    alpha : probability that a certificate is wrong.
    batch : number of copies computed at a time.
    """

    sigma: float = 0.25
    n0: int = 100
    samples: int = 1000
    alpha: float = 0.001
    batch: int = 100

    def __post_init__(self) -> None:
        # Noise of ten times the range of pixels destroys any image.
        if not 0 < self.sigma <= 10 or min(self.n0, self.samples, self.batch) < 1 or not 0 < self.alpha < 1:
            got = f"sigma {self.sigma}, n0 {self.n0}, samples {self.samples}, batch {self.batch}, alpha {self.alpha}"
            raise UsageError(f"Expected sigma in (0, 10], n0, samples, batch above 0, alpha in (0, 1), but got {got}")

    @property
    def largest(self) -> float:
        """The largest possible certified radius: that of an image whose copies all agree."""
        return radius(self.samples, self.samples, self.sigma, self.alpha)


def lower_bound(successes: int, n: int, alpha: float) -> float:
    """Exact one-sided lower confidence bound (1 - alpha) of a probability (Clopper & Pearson 1934).

    >>> round(lower_bound(100, 100, 0.001), 4)
    0.9333
    """
    from scipy.stats import beta

    return 0.0 if successes == 0 else float(beta.ppf(alpha, successes, n - successes + 1))


def radius(successes: int, n: int, sigma: float, alpha: float) -> float:
    """The certified L2 radius if ``successes`` of ``n`` noisy copies have the chosen class; 0 if there is none."""
    from scipy.stats import norm

    low = lower_bound(successes, n, alpha)
    return sigma * float(norm.ppf(low)) if low > 0.5 else 0.0


def certify(classifier: Classifier, x: Tensor, smoothing: Smoothing, generator: torch.Generator) -> tuple[int, float]:
    """The smoothed classifier's prediction for one image, and the radius within which it cannot change.

    Parameters
    ----------
    x : (3, s, s) float in [0, 1]. The noise is not clipped, because the proof needs Gaussian noise.
    generator : of the noise, on the CPU.

    Returns
    -------
    The class, or :data:`ABSTAINED` with radius 0 if no class has a majority with confidence 1 - alpha.
    """
    with frozen(classifier), torch.no_grad():
        first = _counts(classifier, x, smoothing.n0, smoothing, generator)
        chosen = int(first.argmax())
        # New copies: a bound from those that chose the class would be biased upwards.
        successes = int(_counts(classifier, x, smoothing.samples, smoothing, generator)[chosen])
    proven = radius(successes, smoothing.samples, smoothing.sigma, smoothing.alpha)
    return (chosen, proven) if proven > 0 else (ABSTAINED, 0.0)


def _counts(
    classifier: Classifier, x: Tensor, copies: int, smoothing: Smoothing, generator: torch.Generator
) -> NDArray[np.int64]:
    """(k,) how often each class is predicted among the noisy copies."""
    k = len(classifier.card.classes)
    counts = np.zeros(k, np.int64)
    for start in range(0, copies, smoothing.batch):
        count = min(smoothing.batch, copies - start)
        noise = torch.randn((count, *x.shape), generator=generator).to(x.device)
        noisy = (x + smoothing.sigma * noise).contiguous(memory_format=torch.channels_last)
        decided = classifier.decide(classifier.logits(noisy))
        counts += np.bincount(decided.cpu().numpy(), minlength=k)
    return counts
