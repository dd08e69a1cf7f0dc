"""Randomised smoothing: a classifier made of noisy copies, with radii that are proven.

Cohen, Rosenfeld & Kolter 2019, arXiv:1902.02918. The smoothed classifier answers the class that the base classifier
gives most often under Gaussian noise. If that class has a probability of at least p > 1/2 under the noise, no change
shorter than sigma * Phi^-1(p) in L2 can turn the answer. p is bounded from below with the exact binomial interval of
Clopper & Pearson, so that each certificate is wrong with a probability of at most alpha.
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
    """How an image is certified.

    Attributes
    ----------
    sigma : deviation of the noise, in pixels of the network input scaled to [0, 1].
    n0 : noisy copies that choose the class.
    samples : noisy copies that bound its probability; more prove larger radii.
    alpha : probability that a certificate is wrong.
    batch : copies computed at a time.
    """

    sigma: float = 0.25
    n0: int = 100
    samples: int = 1000
    alpha: float = 0.001
    batch: int = 100

    def __post_init__(self) -> None:
        # Noise of ten times the range of pixels leaves nothing of an image.
        if not 0 < self.sigma <= 10 or min(self.n0, self.samples, self.batch) < 1 or not 0 < self.alpha < 1:
            got = f"sigma {self.sigma}, n0 {self.n0}, samples {self.samples}, batch {self.batch}, alpha {self.alpha}"
            raise UsageError(f"Expected sigma in (0, 10], n0, samples, batch above 0, alpha in (0, 1), but got {got}")

    @property
    def largest(self) -> float:
        """The largest radius that can be proven: that of an image whose copies all agree."""
        return radius(self.samples, self.samples, self.sigma, self.alpha)


def lower_bound(successes: int, n: int, alpha: float) -> float:
    """The probability that is exceeded with confidence 1 - alpha, by Clopper & Pearson 1934, one-sided and exact.

    >>> round(lower_bound(100, 100, 0.001), 4)
    0.9333
    """
    from scipy.stats import beta

    return 0.0 if successes == 0 else float(beta.ppf(alpha, successes, n - successes + 1))


def radius(successes: int, n: int, sigma: float, alpha: float) -> float:
    """The proven L2 radius where ``successes`` of ``n`` noisy copies are of the chosen class; 0 for none."""
    from scipy.stats import norm

    low = lower_bound(successes, n, alpha)
    return sigma * float(norm.ppf(low)) if low > 0.5 else 0.0


def certify(classifier: Classifier, x: Tensor, smoothing: Smoothing, generator: torch.Generator) -> tuple[int, float]:
    """The smoothed classifier's answer for one image, and the radius within which it cannot change.

    Parameters
    ----------
    x : (3, s, s) float in [0, 1]. The noise is not clipped: the proof is about Gaussian noise.
    generator : of the noise, on the CPU.

    Returns
    -------
    The class, or :data:`ABSTAINED` with radius 0 where none surely has the majority.
    """
    with frozen(classifier), torch.no_grad():
        first = _counts(classifier, x, smoothing.n0, smoothing, generator)
        chosen = int(first.argmax())
        # Copies of their own: a bound on the ones that chose the class would be too high.
        successes = int(_counts(classifier, x, smoothing.samples, smoothing, generator)[chosen])
    proven = radius(successes, smoothing.samples, smoothing.sigma, smoothing.alpha)
    return (chosen, proven) if proven > 0 else (ABSTAINED, 0.0)


def _counts(
    classifier: Classifier, x: Tensor, copies: int, smoothing: Smoothing, generator: torch.Generator
) -> NDArray[np.int64]:
    """How often each class is decided for among noisy copies, (k,)."""
    k = len(classifier.card.classes)
    counts = np.zeros(k, np.int64)
    for start in range(0, copies, smoothing.batch):
        count = min(smoothing.batch, copies - start)
        noise = torch.randn((count, *x.shape), generator=generator).to(x.device)
        noisy = (x + smoothing.sigma * noise).contiguous(memory_format=torch.channels_last)
        decided = classifier.decide(classifier.logits(noisy))
        counts += np.bincount(decided.cpu().numpy(), minlength=k)
    return counts
