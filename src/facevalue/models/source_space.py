"""Directions in which the sources of images differ, and what is needed to add another source later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.eigen import eigh, principal
from facevalue.models.wide import double_copy

RANK = 384
"""Most dimensions of a space."""

NUMBERS = 2**22
"""Most numbers in its basis (16 MiB), so it has fewer dimensions where features are very many; at least 64."""

IMAGES = 4
"""Fewest images for each dimension: with fewer, the covariance is that of these very images."""

SHRINKAGE = 0.03
"""Share of the mean variance in the covariance within sources. From 0.03 to 0.3 little changes; 1 loses most of it."""


@dataclass(frozen=True, eq=False)
class Space:
    """Leading directions of standardised features: ``((x - centre) / unit) @ basis``.

    Attributes
    ----------
    centre, unit : (d,) mean and standard deviation of the features.
    basis : (d, r) orthonormal directions.
    """

    centre: Tensor
    unit: Tensor
    basis: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Space:
        """The space of (n, d) features; needs no labels."""
        x = double_copy(features)
        centre, deviation = x.mean(0), x.std(0, correction=0)
        # The floor keeps a nearly constant feature from being scaled up.
        unit = (deviation.square() + 1e-6 * deviation.square().mean() + 1e-24).sqrt()
        n, d = x.shape
        rank = max(1, min(RANK, max(64, NUMBERS // d), d, n // IMAGES))
        basis = principal(x.sub_(centre).div_(unit), rank)[1]
        return cls(centre.float(), unit.float(), basis.contiguous().float())

    def inside(self, features: Tensor) -> Tensor:
        """(n, r) float64 coordinates of (n, d) features."""
        return ((features.double() - self.centre.double()) / self.unit.double()) @ self.basis.double()


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, means and the common covariance of sources in a :class:`Space`: all that is kept of the images.

    Attributes
    ----------
    counts : (s,) images of each source.
    means : (s, r) of the sources.
    within : (r, r) covariance within sources.
    """

    counts: Tensor
    means: Tensor
    within: Tensor

    @classmethod
    def of(cls, z: Tensor, numbers: NDArray[np.int64], sources: int) -> Moments:
        """Of coordinates (n, r) with the number of each image's source; every source has an image."""
        y = torch.from_numpy(numbers)
        means = torch.stack([z[y == s].mean(0) for s in range(sources)])
        spread = z - means[y]
        counts = torch.bincount(y, minlength=sources).double()
        return cls(counts, means, spread.T @ spread / max(1, len(z) - sources))

    def with_source(self, z: Tensor) -> Moments:
        """With one more source, of coordinates (n, r)."""
        mean = z.mean(0)
        spread = z - mean
        before, more = float(self.counts.sum()) - len(self.counts), len(z) - 1
        within = (self.within * before + spread.T @ spread) / max(1.0, before + more)
        counts = torch.cat([self.counts, torch.tensor([float(len(z))], dtype=self.counts.dtype)])
        return Moments(counts, torch.cat([self.means, mean[None]]), within)

    def without_source(self, number: int) -> Moments:
        """Without the mean of a source; the covariance stays."""
        kept = torch.arange(len(self.counts)) != number
        return replace(self, counts=self.counts[kept], means=self.means[kept])

    @property
    def second(self) -> Tensor:
        """(r, r) mean of ``z @ z.T`` over all images."""
        share = self.counts / self.counts.sum()
        return self.within + (self.means * share[:, None]).T @ self.means

    def discriminant(self) -> tuple[Tensor, Tensor]:
        """Fisher's linear discriminants (r, s - 1), and the sources' means (s, s - 1) in them.

        There the covariance within sources is the identity. Fisher 1936, *The use of multiple measurements in taxonomic
        problems*; the covariance is shrunk towards the identity (Ledoit & Wolf 2004).
        """
        r = len(self.within)
        level = self.within.diagonal().mean()
        shrunk = (1 - SHRINKAGE) * self.within + SHRINKAGE * level * torch.eye(r, dtype=self.within.dtype)
        values, vectors = eigh(shrunk)
        whiten = vectors / values.clamp_min(1e-12).sqrt()
        spots = self.means @ whiten
        _, _, axes = torch.linalg.svd(spots - spots.mean(0), full_matrices=False)
        through = axes[: max(1, len(spots) - 1)].T
        return whiten @ through, spots @ through
