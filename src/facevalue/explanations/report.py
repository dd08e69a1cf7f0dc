"""The faithfulness of several methods on one set of images, as evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import ExplanationFigures, ExplanationReport
from facevalue.explanations.areas import insertion_and_deletion
from facevalue.explanations.base import Explanation
from facevalue.explanations.faithfulness import random_heat
from facevalue.explanations.measure import Measure
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.support import progress

AT_ONCE = 8
"""Images per batch; each batch is compared with other shuffled weights."""

IGNORES_WEIGHTS = 0.5
"""A rank correlation that is surely above this is a finding."""


def explanation_report(
    classifier: Classifier, dataset: ImageDataset, methods: Sequence[Explanation], seed: int = 0
) -> ExplanationReport:
    """Explain the predicted class of every image by each method, and measure how faithful the heat is.

    Parameters
    ----------
    classifier : not changed.
    methods : those that cannot explain the classifier are listed in the report with the reason.
    seed : of the shuffled weights and of random patches.

    Raises
    ------
    UsageError
        No method can explain this classifier.
    """
    start = time.perf_counter()
    refused = {method.name: why for method in methods if (why := method.refusal(classifier)) is not None}
    measures = [Measure(classifier, method, seed) for method in methods if method.name not in refused]
    if not measures:
        raise UsageError(next(iter(refused.values()), "there is no method to measure; name one with `methods`"))
    generator = torch.Generator().manual_seed(seed)
    chance: list[tuple[float, float]] = []
    with progress.work("measuring explanations", len(dataset) * len(measures)) as work:
        for pixels, _ in dataset.batches(AT_ONCE):
            x = to_tensor(pixels, classifier.mean.device)
            with frozen(classifier), torch.no_grad():
                target = classifier.decide(classifier.logits(x))
                patches = random_heat(len(x), x.shape[-1], generator).to(x.device)
                chance += zip(*insertion_and_deletion(classifier, x, patches, target), strict=True)
            for measure in measures:
                began = time.perf_counter()
                heat = measure.method(classifier, x, target)
                measure.add(x, heat, time.perf_counter() - began)
                work.advance(len(x))
    results = tuple(measure.figures() for measure in measures)
    return ExplanationReport(
        provenance=Provenance.of(dataset, start, seed),
        random_insertion=sum(float(inserted) for inserted, _ in chance) / len(chance),
        random_deletion=sum(float(deleted) for _, deleted in chance) / len(chance),
        results=results,
        refused=refused,
        warnings=tuple(findings(results)),
    )


def findings(results: Sequence[ExplanationFigures]) -> Iterator[Finding]:
    """Methods that are no better than random patches, or that do not depend on the weights."""
    for r in results:
        if r.gain is not None and r.gain_ci is not None and r.gain_ci[0] <= 0:
            text = (
                f"the heat of {r.method} finds what the model uses no better than random patches: insertion less "
                f"deletion is {r.gain:.3f} ({r.gain_ci[0]:.3f} to {r.gain_ci[1]:.3f}), n = {r.n}"
            )
            yield finding("heat-no-better-than-random", text, method=r.method, gain=r.gain, n=r.n)
        if r.rank_correlation_ci is not None and r.rank_correlation_ci[0] > IGNORES_WEIGHTS:
            text = (
                f"the heat of {r.method} is nearly the same with shuffled weights: the rank correlation is "
                f"{r.rank_correlation:.2f}, n = {r.rank_correlation_n}"
            )
            yield finding("heat-ignores-weights", text, method=r.method, n=r.rank_correlation_n)
