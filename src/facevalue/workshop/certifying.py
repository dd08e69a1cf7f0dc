"""What can be proven of a model: certified accuracy behind randomised smoothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue import machine, metrics, plots, progress
from facevalue.classifier import Classifier, held_still, load
from facevalue.data.pictures import Pictures
from facevalue.defenses.smoothing import ABSTAINED, Smoothing
from facevalue.defenses.smoothing import certify as certify_one
from facevalue.evaluation import now
from facevalue.evidence import CertificateReport, CertifiedAccuracy
from facevalue.outputs import to_input
from facevalue.workshop.asked_pictures import to_judge_by
from facevalue.workshop.keeping import ask_kept, keep

_STEPS = 20


def certify(
    model: Path | str,
    data: Path | str,
    *,
    sigma: float = 0.25,
    samples: int = 1000,
    alpha: float = 0.001,
    split: str | None = None,
    limit: int | None = 100,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> CertificateReport:
    """Accuracy of the smoothed model that is proven against every change up to an L2 radius, kept on the card.

    The certificate is about the model behind noise, not about the plain one; a model that was not trained with such
    noise (``augment.noise``) has little of it.

    Parameters
    ----------
    data, split : as :func:`facevalue.workshop.evaluate` takes them.
    sigma, samples, alpha : see :class:`facevalue.defenses.smoothing.Smoothing`.
    limit : certify at most this many pictures, drawn evenly from the classes; ``None`` for all.
    plot : a PNG of certified accuracy against the radius.
    """
    smoothing = Smoothing(sigma=sigma, samples=samples, alpha=alpha)
    folder = Path(model)
    classifier = load(folder)
    if save:
        ask_kept(folder)
    asked = to_judge_by(folder, classifier.card, Path(data), split)
    chosen = asked.pictures.some(limit, seed) if limit is not None else asked.pictures
    machine.keep_memory()
    report = certified_pictures(classifier, chosen, smoothing, seed)
    report = report.changed(warnings=(*asked.warnings, *report.warnings), command=command, created=now())
    if plot is not None:
        plots.save_png(plots.certified_curve([report]), Path(plot))
    if save:
        keep(folder, report)
    return report


def certified_pictures(
    classifier: Classifier, pictures: Pictures, smoothing: Smoothing, seed: int = 0
) -> CertificateReport:
    """The figures, without knowing of model folders. Every picture has noise of its own, drawn from seed and place."""
    start = time.perf_counter()
    n, base, abstained, i = len(pictures), 0, 0, 0
    radii = np.full(n, -1.0)  # -1: not right
    with progress.work("certifying", n) as work:
        for squares, labels in pictures.batches(16):
            x = to_input(squares, classifier.mean.device)
            with held_still(classifier), torch.no_grad():
                base += int((classifier.decide(classifier.logits(x)).cpu().numpy() == labels).sum())
            for one, label in zip(x, labels, strict=True):
                state = np.random.SeedSequence((seed, i)).generate_state(1, np.uint64)
                generator = torch.Generator().manual_seed(int(state[0] >> 1))
                answer, proven = certify_one(classifier, one, smoothing, generator)
                abstained += answer == ABSTAINED
                if answer == label:
                    radii[i] = proven
                i += 1
                work.advance(1, f"{100 * (radii[:i] >= 0).mean():.1f} % right, radius {radii[:i].clip(0).mean():.3f}")
    curve = tuple(_at(float(r), radii) for r in np.linspace(0, smoothing.largest, _STEPS + 1))
    return CertificateReport(
        split=pictures.name,
        n=n,
        classes=pictures.classes,
        sigma=smoothing.sigma,
        alpha=smoothing.alpha,
        n0=smoothing.n0,
        samples=smoothing.samples,
        base_accuracy=base / n,
        abstained=abstained,
        mean_radius=float(radii.clip(0).mean()),
        curve=curve,
        warnings=tuple(_warnings(curve, base / n, smoothing)),
        fingerprint=pictures.fingerprint,
        source=pictures.source,
        seconds=time.perf_counter() - start,
        seed=seed,
    )


def _at(radius: float, radii: NDArray[np.float64]) -> CertifiedAccuracy:
    right = int((radii >= radius).sum())
    return CertifiedAccuracy(radius=radius, accuracy=right / len(radii), accuracy_ci=metrics.wilson(right, len(radii)))


def _warnings(curve: Sequence[CertifiedAccuracy], base: float, smoothing: Smoothing) -> Iterator[str]:
    smoothed = curve[0]
    if smoothed.accuracy_ci[1] < base:
        yield (
            f"smoothing with sigma {smoothing.sigma:g} takes accuracy from {100 * base:.1f} to "
            f"{100 * smoothed.accuracy:.1f} %: the model was not trained for such noise (augment.noise)"
        )
