"""``ensemble``: combine several models into one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facevalue import decision
from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.members import lost_promises, shared_inputs
from facevalue.api.common.model_folder import claimed, data_facts_of, expect_other, provenance_of, save
from facevalue.api.common.stable_answers import with_stable_answers
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import with_faces
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data
from facevalue.data.training_data import (
    HARD_IMAGES_ONLY,
    calibrated_on_hard_images_only,
    found_again,
    joined,
    learned_manifest,
)
from facevalue.errors import UsageError
from facevalue.evaluation.answer_limits import choose_confidence
from facevalue.evaluation.calibration import novelty_limit
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.evaluate import evaluated
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.evidence.findings import Finding, finding, say
from facevalue.evidence.provenance import recorded
from facevalue.evidence.score_reference import ScoreReference
from facevalue.models.averaging import averaged
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor
from facevalue.models.origin import Origin
from facevalue.training.calibration_images import facts_of_inputs
from facevalue.training.settings import CalibrationSettings


@recorded
def ensemble(
    models: Sequence[Model],
    output: Path | str | None = None,
    *,
    data: Data | None = None,
    overwrite: bool = False,
) -> Classifier:
    """Combine several classifiers into one that averages their calibrated probabilities, in one graph.

    Members keep their weights, normalisation and temperatures. The limits of abstention are fitted on calibration
    images that no member was trained on, and the test images are those that no member has seen. An image that is in
    different splits of the members counts for the split that is nearest to training. Members with stable answers make
    an ensemble with stable answers, whose limits are chosen on the same calibration images.

    Parameters
    ----------
    models : two or more classifiers or model folders with the same classes and the same preprocessing.
    output : the model folder to create; ``None`` keeps the classifier in memory.
    data : the present location of the members' images, if they have moved.
    overwrite : replace an existing model folder.

    Raises
    ------
    UsageError
        There are fewer than two different models; their classes, preprocessing, face gate or ``stable`` differ; they
        make stable answers and there are no calibration images that are new to all; or ``output`` exists already.
    FaceValueError
        Another process is writing ``output``.
    DataError
        The members' images are no longer where they were.
    """
    start = time.perf_counter()
    with claimed(output, overwrite) as folder:
        members = [opened(model) for model in models]
        names = [m.folder.name if m.folder is not None else f"model {i + 1}" for i, m in enumerate(members)]
        expect_other(folder, *(member.folder for member in members))
        _check_compatible(names, members)
        inputs = shared_inputs(names, members)
        manifest = joined([_learned(name, member) for name, member in zip(names, members, strict=True)])
        classifier = averaged(members)
        manifest = with_faces(found_again(manifest, SPLITS, data, "data"), classifier.gate)
        card = classifier.card
        splits = {
            split: dataset_of(manifest, card.preprocessing, card.classes, split)
            for split in SPLITS
            if not manifest.rows(split).empty
        }
        if inputs and not _complete(splits.get("calibration"), card):
            raise UsageError(
                f"the members make stable answers from {inputs} network inputs, and no calibration images are new to "
                "all of them, to choose the ensemble's limits on: train them on the same splits, or calibrate each "
                "with `stable` 0"
            )
        extractor = Extractor(classifier)
        features = {split: extractor.of(part) for split, part in splits.items()}
        warnings = [*manifest.warnings, *lost_promises(names, members), *_forgotten_sources(members)]
        if _complete(splits.get("calibration"), card):
            warnings += (
                [HARD_IMAGES_ONLY] if any(calibrated_on_hard_images_only(member.card) for member in members) else []
            )
            held_out = features["calibration"]
            logits = held_out.logits(classifier).double().numpy()
            facts = facts_of_inputs(splits["calibration"])
            reference = ScoreReference.of("calibration", held_out.novelty(classifier), logits, *facts)
            novelty = novelty_limit(held_out.novelty(classifier)) if card.abstention.novelty is not None else None
            p = held_out.probabilities(classifier)
            decided = decision.decide(p, card.positive_index, card.threshold)
            limits = Abstention(
                confidence=choose_confidence(p, held_out.y, target=_target(members), decided=decided),
                novelty=novelty,
                target=_target(members),
                n=len(held_out.y),
            )
        else:
            reference = None
            limits = card.abstention.changed(confidence=max(m.card.abstention.confidence for m in members))
            refitted = [
                f"{name} was also trained on its own (refit)"
                for name, m in zip(names, members, strict=True)
                if m.card.refitted
            ]
            why = f" ({'; '.join(refitted)})" if refitted else ""
            text = f"there are no calibration images that are new to all members{why}: the members' own limits are used"
            warnings.append(finding("no-shared-calibration-images", text))
        if not _complete(splits.get("test"), card):
            text = "no test images are new to all members, so there is no test accuracy: train them on the same splits"
            warnings.append(finding("no-shared-test-images", text))
        say(warnings)
        card = card.changed(abstention=limits, reference=reference)
        if inputs:
            settings = CalibrationSettings(stable=inputs, target=_target(members), damage=())
            own = CalibrationSet(features["calibration"])
            stable, unsure = with_stable_answers(classifier.changed(card), splits["calibration"], own, settings)
            card, warnings = stable.card, [*warnings, *unsure]
        card = card.changed(
            data=data_facts_of(manifest).changed(warnings=tuple(warnings)),
            recipe={
                "method": "ensemble",
                "members": [_member(name, m) for name, m in zip(names, members, strict=True)],
                "hardened": sorted({way for member in members for way in member.card.hardened}),
            },
            provenance=provenance_of(manifest, start, card.provenance.seed),
        )
        classifier = classifier.changed(card)
        once = classifier.changed(card.with_inputs(0))
        evaluations = [
            evaluated(classifier if split == "test" else once, part, features=features[split])
            for split, part in splits.items()
            if split != "test" or _complete(part, card)
        ]
        outputs = tuple(each.outputs for each in evaluations)
        card = card.with_evidence(*(each.report for each in evaluations))
        classifier = classifier.changed(card, origin=Origin(manifest, outputs=outputs))
        if folder is None:
            return classifier
        # Any image can be used to measure parity.
        parity = next(splits[split] for split in reversed(SPLITS) if split in splits)
        return load(save(classifier, folder, overwrite=overwrite, parity=parity, start=start))


def _learned(name: str, member: Classifier) -> Manifest:
    if member.origin is None:
        raise UsageError(
            f"{name} has no manifest of its training images, which an ensemble needs to evaluate on others"
        )
    return learned_manifest(member.origin.manifest, member.card)


def _check_compatible(names: Sequence[str], members: Sequence[Classifier]) -> None:
    if len(members) < 2:
        raise UsageError("an ensemble needs at least two models")
    first = members[0].card
    seen: dict[str, str] = {}
    for name, member in zip(names, members, strict=True):
        card = member.card
        if set(card.classes) != set(first.classes):
            raise UsageError(
                f"the classes do not match: {names[0]} has {', '.join(first.classes)}; "
                f"{name} has {', '.join(card.classes)}"
            )
        # All members share one network input: resizing it again would differ from preprocessing the file.
        if card.preprocessing != first.preprocessing:
            raise UsageError(
                f"members need the same network input, but {names[0]} takes {_preprocessing(first)} and {name} takes "
                f"{_preprocessing(card)}; train one of them again with the same `size` and network.filter"
            )
        if card.gate != first.gate:
            raise UsageError(f"members need the same face gate, but that of {name} differs from that of {names[0]}")
        weights = member.weights_sha256()
        if weights in seen:
            raise UsageError(f"{name} and {seen[weights]} are the same model")
        seen[weights] = name


def _preprocessing(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    of = "" if preprocessing.face_margin is None else f" of a face with a margin of {preprocessing.face_margin:g}"
    return f"{preprocessing.size} x {preprocessing.size} pixels{of} ({preprocessing.fit}, {preprocessing.filter})"


def _complete(part: ImageDataset | None, card: ModelCard) -> bool:
    return part is not None and len(set(part.labels.tolist())) == len(card.classes)


def _forgotten_sources(members: Sequence[Classifier]) -> list[Finding]:
    """A finding if a member asks for known sources, which the ensemble does not."""
    if all(member.card.sources is None for member in members):
        return []
    text = "a member abstains on images of unknown sources, and the ensemble does not: it asks for novelty only"
    return [finding("sources-not-combined", text)]


def _target(members: Sequence[Classifier]) -> float:
    return max((m.card.abstention.target or 0.95) for m in members)


def _member(name: str, member: Classifier) -> dict[str, Any]:
    """The card's entry for a member."""
    card, test = member.card, member.card.evaluation("test")
    return {
        "model": name,
        "network": card.network.name,
        "weights_sha256": member.weights_sha256(),
        "temperature": card.temperature,
        "test_accuracy": None if test is None else test.accuracy,
    }
