"""Several models as one: their calibrated probabilities, averaged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from facevalue.api.common.model_folder import data_facts_of, free_place, versions, write_folder
from facevalue.api.train import TrainResult
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.training_data import HARD_ALONE, calibrated_on_hard_alone, found_again, own_manifest
from facevalue.errors import UsageError
from facevalue.evaluation.calibration import choose_confidence, novelty_limit
from facevalue.evaluation.evaluate import evaluate_dataset, now
from facevalue.evidence.card import WEIGHTS, Abstention, ModelCard, NetworkFacts
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor
from facevalue.models.networks import build
from facevalue.models.networks.base import count_parameters
from facevalue.models.networks.ensemble import Ensemble
from facevalue.support import files, machine, progress


def ensemble(
    models: Sequence[Path | str],
    output: Path | str,
    *,
    data: Path | str | None = None,
    overwrite: bool = False,
    command: str = "",
) -> TrainResult:
    """Make one model folder of several: the average of their calibrated probabilities, in one graph.

    Members keep their weights, normalisation and temperatures. The limits of abstention are chosen on calibration
    images that no member was trained on, and it is evaluated on test images that no member has seen: an image (or
    its group) counts as what the most familiar of the members knows it as.

    Parameters
    ----------
    models : two or more model folders with the same classes and the same preprocessing.
    output : the model folder to be.
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
    folders = [Path(model) for model in models]
    output = free_place(Path(output), overwrite)
    members = [load(folder) for folder in folders]
    _ask_alike(folders, members)
    machine.keep_memory()
    manifest = joined([own_manifest(f, m.card) for f, m in zip(folders, members, strict=True)])
    manifest = found_again(manifest, SPLITS, None if data is None else Path(data), "--data")
    classifier = averaged(members)
    card = classifier.card
    splits = {
        split: dataset_of(manifest, card.preprocessing, card.classes, split)
        for split in SPLITS
        if not manifest.rows(split).empty
    }
    extractor = Extractor(classifier)
    outputs = {split: extractor.outputs(part) for split, part in splits.items()}
    warnings = list(manifest.warnings)
    if _complete(splits.get("calibration"), card):
        warnings += [HARD_ALONE] if any(calibrated_on_hard_alone(member.card) for member in members) else []
        held_out = outputs["calibration"]
        novelty = novelty_limit(held_out.novelty(classifier)) if card.abstention.novelty is not None else None
        limits = Abstention(
            confidence=choose_confidence(held_out.probabilities(classifier), held_out.labels, target=_target(members)),
            novelty=novelty,
            target=_target(members),
            n=len(held_out.labels),
        )
    else:
        limits = card.abstention.changed(confidence=max(m.card.abstention.confidence for m in members))
        refitted = [
            f"{f.name} has learned from its own (refit)"
            for f, m in zip(folders, members, strict=True)
            if m.card.refitted
        ]
        why = f" ({'; '.join(refitted)})" if refitted else ""
        warnings.append(
            f"no calibration images that every member was kept from{why}: the members' own limits are taken"
        )
    if not _complete(splits.get("test"), card):
        warnings.append("no test images that every member was kept from: train them on the same splits")
    for warning in warnings:
        progress.note(f"warning: {warning}")
    card = card.changed(
        abstention=limits,
        data=data_facts_of(manifest).changed(warnings=tuple(warnings)),
        recipe={
            "method": "ensemble",
            "members": [_told(f, m.card) for f, m in zip(folders, members, strict=True)],
            "hardened": sorted({way for member in members for way in member.card.hardened}),
        },
        versions=versions(),
        command=command,
        created=now(),
    )
    classifier = classifier.changed(card)
    reports = [
        evaluate_dataset(classifier, part, outputs=outputs[split], command=command)
        for split, part in splits.items()
        if split != "test" or _complete(part, card)
    ]
    classifier = classifier.changed(card.with_evidence(*reports))
    # Parity asks nothing of where an image comes from.
    parity = next(splits[split] for split in reversed(SPLITS) if split in splits)
    with files.replacing_folder(output) as folder:
        card = write_folder(folder, classifier, manifest, [], {"test": parity}, start)
    return TrainResult(output, card)


def averaged(members: Sequence[Classifier]) -> Classifier:
    """A classifier whose probabilities are the average of the members' calibrated ones; not yet with limits of its own.

    Its logits are the logarithm of the average, its temperature is 1. Its novelty is the root mean square of the
    members' novelties, each over its own limit, so that 1 is where the members on the whole would say ``novel``.
    """
    first = members[0].card
    k, size = len(first.classes), first.preprocessing.size
    options = {"members": [_specification(m.card, first.classes) for m in members]}
    body = build("ensemble", k, size, options)
    assert isinstance(body, Ensemble)
    for part, member in zip(body.together, members, strict=True):
        state = {n: v for n, v in member.state_dict().items() if n.startswith("body.") or part.limit is not None}
        part.load_state_dict(state)
    licences = sorted({m.card.network.licence for m in members} - {None})  # type: ignore[type-var]
    facts = NetworkFacts(
        name="ensemble",
        options=options,
        parameters=count_parameters(body),
        features=body.head.in_features,
        weights="members",
        licence=", ".join(map(str, licences)) or None,
        pooled=body.pooled,
        batch=body.batch,
    )
    thresholds = {m.card.threshold for m in members if m.card.positive == first.positive}
    copy_consistency = len(thresholds) == 1 and all(m.card.positive == first.positive for m in members)
    card = ModelCard(
        classes=first.classes,
        positive=first.positive,
        preprocessing=first.preprocessing,
        network=facts,
        threshold=first.threshold if copy_consistency else 0.5,
        abstention=Abstention(novelty=1.0 if body.novelties else None),
        seed=first.seed,
    )
    return Classifier(body, card).eval().changed(buffers=_novelty_buffers(body))


def _novelty_buffers(body: Ensemble) -> dict[str, torch.Tensor]:
    """Such that :meth:`Classifier.novelty` is the root mean square of the first ``body.novelties`` features."""
    d, m = body.head.in_features, body.novelties
    if not m:
        return {}
    rank = min(d, 64)
    basis = torch.zeros(d, rank)
    basis[range(m), range(m)] = 1
    return {"novelty_basis": basis, "novelty_scale": torch.full((rank,), (m / d) ** 0.5)}


def _specification(card: ModelCard, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": card.network.name,
        "options": card.network.options,
        "mean": list(card.network.mean),
        "std": list(card.network.std),
        "temperature": card.temperature,
        "novelty": card.abstention.novelty,
        "order": None if card.classes == classes else [card.classes.index(c) for c in classes],
    }


def _ask_alike(folders: Sequence[Path], members: Sequence[Classifier]) -> None:
    if len(members) < 2:
        raise UsageError("an ensemble needs at least two model folders")
    first = members[0].card
    seen: dict[str, Path] = {}
    for folder, member in zip(folders, members, strict=True):
        card = member.card
        if set(card.classes) != set(first.classes):
            raise UsageError(
                f"the classes do not match: {folders[0]} knows {', '.join(first.classes)}; "
                f"{folder} knows {', '.join(card.classes)}"
            )
        # A network input made from a network input is not the one that the file would have given; so nothing is resized inside.
        if card.preprocessing != first.preprocessing:
            raise UsageError(
                f"members look at the same network input: {folders[0]} takes {_preprocessing(first)}, {folder} takes "
                f"{_preprocessing(card)}; train one of them again with --size and --set network.filter=…"
            )
        weights = card.files[WEIGHTS]
        if weights in seen:
            raise UsageError(f"{folder} and {seen[weights]} are the same model")
        seen[weights] = folder


def _preprocessing(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    return f"{preprocessing.size} x {preprocessing.size} pixels ({preprocessing.fit}, {preprocessing.filter})"


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """One table of all members' images; each is in the split that the most familiar member has it in.

    An image that one member was trained on is trained on, whatever it is to the others; so is its whole group.
    """
    # Two folders may each have a group of one name. Members of one folder are joined by the images they share.
    several = len({m.source for m in manifests}) > 1
    tables = [m.table.assign(group=f"{m.source}: " + m.table["group"]) if several else m.table for m in manifests]
    table = pd.concat(tables, ignore_index=True, join="inner")
    table = table[table["split"] != ""]
    rank = table["split"].map(SPLITS.index)
    while True:
        lower = rank.groupby(table["sha256"]).transform("min")
        lower = lower.groupby(table["group"]).transform("min")
        if lower.equals(rank):
            break
        rank = lower
    table = table.assign(split=rank.map(dict(enumerate(SPLITS)))).drop_duplicates("sha256").sort_values("key")
    return Manifest(
        table.reset_index(drop=True),
        source="; ".join(dict.fromkeys(m.source for m in manifests)),
        groups="; ".join(dict.fromkeys(m.groups for m in manifests)),
        warnings=tuple(dict.fromkeys(w for m in manifests for w in m.warnings)),
    )


def _complete(part: ImageDataset | None, card: ModelCard) -> bool:
    return part is not None and len(set(part.labels.tolist())) == len(card.classes)


def _target(members: Sequence[Classifier]) -> float:
    return max((m.card.abstention.target or 0.95) for m in members)


def _told(folder: Path, card: ModelCard) -> Mapping[str, Any]:
    test = card.report("test")
    return {
        "model": folder.name,
        "network": card.network.name,
        "weights_sha256": card.files[WEIGHTS],
        "temperature": card.temperature,
        "test_accuracy": None if test is None else test.accuracy,
    }
