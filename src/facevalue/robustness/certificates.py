"""Certified accuracy by randomised smoothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import CertificateReport, CertifiedAccuracy
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.robustness.defenses.smoothing import ABSTAINED, Smoothing
from facevalue.robustness.defenses.smoothing import certify as certify_one
from facevalue.support import progress
from facevalue.support.formats import percent

_STEPS = 20


def certify_dataset(
    classifier: Classifier, dataset: ImageDataset, smoothing: Smoothing, seed: int = 0
) -> CertificateReport:
    """Certify a dataset. The noise of an image depends on the seed and its position."""
    start = time.perf_counter()
    n, base, abstained, i = len(dataset), 0, 0, 0
    radii = np.full(n, -1.0)  # -1: wrong or abstained
    with progress.work("certifying", n) as work:
        for pixels, labels in dataset.batches(16):
            x = to_tensor(pixels, classifier.mean.device)
            with frozen(classifier), torch.no_grad():
                base += int((classifier.decide(classifier.logits(x)).cpu().numpy() == labels).sum())
            for one, label in zip(x, labels, strict=True):
                state = np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)
                generator = torch.Generator().manual_seed(int(state[0] >> 1))
                answer, proven = certify_one(classifier, one, smoothing, generator)
                abstained += answer == ABSTAINED
                if answer == label:
                    radii[i] = proven
                i += 1
                work.advance(
                    1, f"{percent(float((radii[:i] >= 0).mean()))} right, radius {radii[:i].clip(0).mean():.3f}"
                )
    curve = tuple(_at(float(r), radii) for r in np.linspace(0, smoothing.largest, _STEPS + 1))
    return CertificateReport(
        provenance=Provenance.of(dataset, start, seed),
        classes=dataset.classes,
        sigma=smoothing.sigma,
        alpha=smoothing.alpha,
        n0=smoothing.n0,
        samples=smoothing.samples,
        base_accuracy=base / n,
        abstained=abstained,
        mean_radius=float(radii.clip(0).mean()),
        curve=curve,
        warnings=tuple(_warnings(curve, base / n, smoothing)),
    )


def _at(radius: float, radii: NDArray[np.float64]) -> CertifiedAccuracy:
    right = int((radii >= radius).sum())
    return CertifiedAccuracy(radius=radius, accuracy=right / len(radii), accuracy_ci=metrics.wilson(right, len(radii)))


def _warnings(curve: Sequence[CertifiedAccuracy], base: float, smoothing: Smoothing) -> Iterator[Finding]:
    smoothed = curve[0]
    if smoothed.accuracy_ci[1] < base:
        text = (
            f"smoothing with sigma {smoothing.sigma:g} lowers accuracy from {percent(base)} to "
            f"{percent(smoothed.accuracy)}: the model was not trained with such noise (augment.noise)"
        )
        yield finding("smoothing-lowers-accuracy", text, sigma=smoothing.sigma, before=base, after=smoothed.accuracy)
