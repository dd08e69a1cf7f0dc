"""Evaluates a model on labelled images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facevalue.data.face_boxes import is_unsure
from facevalue.evaluation.figures import figures_of
from facevalue.evaluation.stability import stable_answers
from facevalue.evidence.outputs import ImageOutputs
from facevalue.evidence.provenance import Provenance
from facevalue.models.features import Features, features_of
from facevalue.support import progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facevalue import decision
    from facevalue.data.dataset import ImageDataset
    from facevalue.evidence.records import Evaluation
    from facevalue.models.classifier import Classifier
    from facevalue.types import Reason


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation with the outputs it was computed from."""

    report: Evaluation
    outputs: ImageOutputs


def evaluate_dataset(
    classifier: Classifier,
    dataset: ImageDataset,
    *,
    features: Features | None = None,
    answers: decision.Combined | None = None,
) -> Evaluation:
    """All evaluation figures of a classifier on a dataset; see :func:`evaluated`."""
    return evaluated(classifier, dataset, features=features, answers=answers).report


def evaluated(
    classifier: Classifier,
    dataset: ImageDataset,
    *,
    features: Features | None = None,
    answers: decision.Combined | None = None,
) -> Evaluated:
    """All evaluation figures of a classifier on a dataset, with the outputs they were computed from.

    Parameters
    ----------
    dataset : labelled with the classifier's classes.
    features : of the dataset; computed if ``None``.
    answers : stable answers, if the classifier's card has them; computed if ``None``, with one more pass through the
        network for each further version of the network input.
    """
    start = time.perf_counter()
    features = features if features is not None else features_of(classifier, dataset, f"evaluating on {dataset.name}")
    unsure: dict[Reason, NDArray[np.bool_]] = (
        {} if classifier.card.gate is None else {"gate_unsure": is_unsure(dataset.rows)}
    )
    p, novelty = features.probabilities(classifier), features.novelty(classifier)
    if classifier.card.inputs > 1:
        answers = answers if answers is not None else stable_answers(classifier, dataset, features)
        p, unsure["unstable"] = answers.p, answers.unstable
    outputs = ImageOutputs(
        split=dataset.name,
        fingerprint=dataset.fingerprint,
        inputs=classifier.card.inputs,
        hashes=tuple(map(str, dataset.scanned().rows["sha256"])),
        groups=tuple(map(str, dataset.rows["group"])),
        y=features.y,
        p=p,
        novelty=novelty,
        unsure=unsure,
        without_face=len(dataset.without_face),
    )
    with progress.within(f"figures of {dataset.name}"):
        found = figures_of(outputs, classifier.card)
    provenance = Provenance.of(dataset, start)
    provenance = provenance.changed(n=provenance.n + outputs.without_face)
    return Evaluated(found.changed(unreadable=dataset.unreadable, provenance=provenance), outputs)
