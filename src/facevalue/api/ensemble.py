"""``ensemble``: several models as one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import data_facts_of, free_place, provenance_of, save
from facevalue.data.dataset import ImageDataset, dataset_of
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
from facevalue.evaluation.calibration import choose_confidence, novelty_limit
from facevalue.evaluation.evaluate import evaluate_dataset
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.evidence.findings import finding, say
from facevalue.evidence.provenance import recorded
from facevalue.models.averaging import averaged
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor
from facevalue.models.origin import Origin


@recorded
def ensemble(
    models: Sequence[Model],
    output: Path | str | None = None,
    *,
    data: Data | None = None,
    overwrite: bool = False,
) -> Classifier:
    """Make one classifier of several: the average of their calibrated probabilities, in one graph.

    Members keep their weights, normalisation and temperatures. The limits of abstention are chosen on calibration
    images that no member was trained on. It is evaluated on test images that no member has seen: an image (or its
    group) counts as what the most familiar of the members knows it as.

    Parameters
    ----------
    models : two or more classifiers or model folders with the same classes and the same preprocessing.
    output : the model folder to make; ``None`` keeps the classifier in memory.
    data : where the images that the members were made from are now, if they have moved.
    overwrite : replace a model folder that is there already.

    Raises
    ------
    UsageError
        Fewer than two different models, other classes or another preprocessing; or ``output`` is taken.
    DataError
        The members' images are not where they were.
    """
    start = time.perf_counter()
    folder = None if output is None else free_place(Path(output), overwrite)
    members = [opened(model) for model in models]
    names = [m.folder.name if m.folder is not None else f"model {i + 1}" for i, m in enumerate(members)]
    _check_compatible(names, members)
    manifest = joined([_learned(name, member) for name, member in zip(names, members, strict=True)])
    manifest = found_again(manifest, SPLITS, data, "data")
    classifier = averaged(members)
    card = classifier.card
    splits = {
        split: dataset_of(manifest, card.preprocessing, card.classes, split)
        for split in SPLITS
        if not manifest.rows(split).empty
    }
    extractor = Extractor(classifier)
    features = {split: extractor.of(part) for split, part in splits.items()}
    warnings = list(manifest.warnings)
    if _complete(splits.get("calibration"), card):
        warnings += [HARD_IMAGES_ONLY] if any(calibrated_on_hard_images_only(member.card) for member in members) else []
        held_out = features["calibration"]
        novelty = novelty_limit(held_out.novelty(classifier)) if card.abstention.novelty is not None else None
        limits = Abstention(
            confidence=choose_confidence(held_out.probabilities(classifier), held_out.y, target=_target(members)),
            novelty=novelty,
            target=_target(members),
            n=len(held_out.y),
        )
    else:
        limits = card.abstention.changed(confidence=max(m.card.abstention.confidence for m in members))
        refitted = [
            f"{name} has learned from its own (refit)"
            for name, m in zip(names, members, strict=True)
            if m.card.refitted
        ]
        why = f" ({'; '.join(refitted)})" if refitted else ""
        text = f"no calibration images are new to every member{why}: the members' own limits are used"
        warnings.append(finding("no-shared-calibration-images", text))
    if not _complete(splits.get("test"), card):
        text = "no test images are new to every member, so there is no test accuracy: train them on the same splits"
        warnings.append(finding("no-shared-test-images", text))
    say(warnings)
    card = card.changed(
        abstention=limits,
        data=data_facts_of(manifest).changed(warnings=tuple(warnings)),
        recipe={
            "method": "ensemble",
            "members": [_member(name, m) for name, m in zip(names, members, strict=True)],
            "hardened": sorted({way for member in members for way in member.card.hardened}),
        },
        provenance=provenance_of(manifest, start, card.provenance.seed),
    )
    classifier = classifier.changed(card)
    reports = [
        evaluate_dataset(classifier, part, features=features[split])
        for split, part in splits.items()
        if split != "test" or _complete(part, card)
    ]
    classifier = classifier.changed(card.with_evidence(*reports), origin=Origin(manifest))
    if folder is None:
        return classifier
    # Parity asks nothing of where an image comes from.
    parity = next(splits[split] for split in reversed(SPLITS) if split in splits)
    return load(save(classifier, folder, overwrite=overwrite, parity=parity, start=start))


def _learned(name: str, member: Classifier) -> Manifest:
    if member.origin is None:
        raise UsageError(f"it is not known what {name} was made from, so its images cannot be kept apart")
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
                f"the classes do not match: {names[0]} knows {', '.join(first.classes)}; "
                f"{name} knows {', '.join(card.classes)}"
            )
        # Resizing a network input again would not give the one that the file gives; so nothing is resized inside.
        if card.preprocessing != first.preprocessing:
            raise UsageError(
                f"members look at the same network input: {names[0]} takes {_preprocessing(first)}, {name} takes "
                f"{_preprocessing(card)}; train one of them again with the same `size` and network.filter"
            )
        weights = member.weights_sha256()
        if weights in seen:
            raise UsageError(f"{name} and {seen[weights]} are the same model")
        seen[weights] = name


def _preprocessing(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    return f"{preprocessing.size} x {preprocessing.size} pixels ({preprocessing.fit}, {preprocessing.filter})"


def _complete(part: ImageDataset | None, card: ModelCard) -> bool:
    return part is not None and len(set(part.labels.tolist())) == len(card.classes)


def _target(members: Sequence[Classifier]) -> float:
    return max((m.card.abstention.target or 0.95) for m in members)


def _member(name: str, member: Classifier) -> dict[str, Any]:
    """What the card says of a member."""
    card, test = member.card, member.card.evaluation("test")
    return {
        "model": name,
        "network": card.network.name,
        "weights_sha256": member.weights_sha256(),
        "temperature": card.temperature,
        "test_accuracy": None if test is None else test.accuracy,
    }
