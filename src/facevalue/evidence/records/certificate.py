"""Certified accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class CertifiedAccuracy(Record, frozen=True):
    """Share of images that are classified correctly, provably for every change smaller than ``radius`` in L2."""

    radius: float
    accuracy: float
    accuracy_ci: Interval


class CertificateReport(Evidence, frozen=True, tag="certificate"):
    """Certified accuracy of a model with randomised smoothing (Cohen et al. 2019, arXiv:1902.02918).

    Attributes
    ----------
    sigma : standard deviation of the Gaussian noise, for pixels in [0, 1].
    alpha : per image, the probability that its certificate is wrong.
    n0, samples : noisy copies per image for choosing the class, and for the bound.
    abstained : number of images for which no class has a significant majority.
    base_accuracy : of the model without smoothing on the same images.
    mean_radius : average certified radius; wrong and abstained images count as 0.
    curve : by radius, starting at 0.
    """

    classes: tuple[str, ...]
    sigma: float
    alpha: float
    n0: int
    samples: int
    base_accuracy: float
    abstained: int
    mean_radius: float
    curve: tuple[CertifiedAccuracy, ...]
    norm: str = "l2"

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.sigma)

    def title(self) -> str:
        return f"certificate on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per radius."""
        return frame_of([row.to_dict() for row in self.curve])
