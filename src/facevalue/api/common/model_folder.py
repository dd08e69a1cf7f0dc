"""Writes model folders, for all verbs that create one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from facevalue.api.common.canary_images import canary_images, may_be_copied
from facevalue.api.common.documents import write_documents
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import with_faces, without_face
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.evidence.card import CANARIES, CARD, HISTORY, MANIFEST, ONNX, OUTPUTS, DataFacts, ModelCard
from facevalue.evidence.findings import finding, say
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.evidence.outputs import ImageOutputs, read_outputs, write_outputs
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AnyEvidence, Evaluation, ExportReport
from facevalue.evidence.store import keep_evidence
from facevalue.export import EXPORTERS
from facevalue.models.classifier import Classifier
from facevalue.runtime import Predictor
from facevalue.runtime.canaries import write_canaries
from facevalue.support import files, locks, output_folder
from facevalue.support.output_folder import free_folder

PARITY_IMAGES = 32
"""Number of images for the parity measurement of an exported file."""

_WHAT = "a model folder"
_PATIENCE = 600.0  # seconds to wait for another process that updates the same card


def data_facts_of(manifest: Manifest) -> DataFacts:
    """The card's facts about a manifest with groups and splits."""
    rows = manifest.readable
    by_split = rows.groupby("split")["group"]
    shared = rows.groupby("group")["key"].transform("size") > 1
    return DataFacts(
        counts=manifest.counts(),
        without_face=without_face(manifest),
        groups=manifest.groups,
        group_count={str(split): int(groups.nunique()) for split, groups in by_split},
        grouped=int(shared.sum()),
        unreadable=manifest.unreadable,
        warnings=manifest.warnings,
    )


def provenance_of(manifest: Manifest, start: float, seed: int | None) -> Provenance:
    """The provenance of a model that is made from all images of a manifest."""
    fingerprint, n = manifest.fingerprint(), len(manifest.readable)
    return Provenance.made(start, seed, fingerprint=fingerprint, source=manifest.source, n=n)


def save(
    classifier: Classifier,
    folder: Path,
    *,
    overwrite: bool = False,
    parity: ImageDataset | None = None,
    start: float | None = None,
) -> Path:
    """Write a complete model folder: history, manifest, weights, graph with measured parity, card, documents.

    The caller has claimed the folder, see :func:`claimed`.

    Parameters
    ----------
    folder : may be an existing model folder only if ``overwrite`` is true.
    parity : images to compare ``model.onnx`` on; by default the model's own test images.
    start : ``time.perf_counter()`` at the start of the work, for the card; by default the card keeps its time.

    Raises
    ------
    UsageError
        ``folder`` exists already or cannot be written, or the classifier has no origin.
    DataError
        There is no image to measure parity on.
    """
    free_folder(folder, CARD, _WHAT, overwrite)
    classifier.expect_evaluated()
    origin = classifier.origin
    if origin is None:
        raise UsageError(
            "a model folder needs the training images' manifest, and this classifier has none: use `train`"
        )
    images = (parity_images(classifier) if parity is None else parity).some(PARITY_IMAGES)
    with ExitStack() as updates, files.replacing_folder(folder) as partial:
        lines = "".join(json.dumps(line) + "\n" for line in origin.history)
        (partial / HISTORY).write_text(lines, encoding="utf-8", newline="\n")
        # Absolute, so that the images are found from any working directory; fingerprints do not depend on paths.
        here = [p if p in origin.manifest.images else os.path.abspath(p) for p in origin.manifest.table["path"]]  # noqa: PTH100 - links stay links
        origin.manifest.changed(path=here).save(partial / MANIFEST)
        card = classifier.write(partial)
        exported = EXPORTERS["onnx"](classifier, partial / ONNX, images)
        copied = card.recipe.get("canaries") != "drawn" and may_be_copied(origin.manifest.source)
        predictor = Predictor(card, partial / ONNX, gate=classifier.gate)
        write_canaries(predictor, canary_images(images if copied else None), partial / CANARIES)
        written = [ONNX, HISTORY, MANIFEST, CANARIES]
        if outputs := _of_evaluations(card, origin.outputs):
            write_outputs(outputs, card.classes, partial / OUTPUTS)
            written.append(OUTPUTS)
        if classifier.gate is not None:  # so that the folder answers alone
            (partial / DETECTOR).write_bytes(classifier.gate.detector.model)
            written.append(DETECTOR)
        made = {name: files.sha256(partial / name) for name in written}
        provenance = card.provenance
        if start is not None:
            provenance = provenance.changed(seconds=time.perf_counter() - start)
        others = [e for e in card.evidence if not (isinstance(e, ExportReport) and e.path == ONNX)]
        # Without those of the folder that it was loaded from, such as outputs of evaluations that it no longer has.
        kept = {name: digest for name, digest in card.files.items() if (partial / name).is_file()}
        card = card.changed(files={**kept, **made}, provenance=provenance, evidence=(*others, exported))
        card.save(partial)
        write_documents(partial)
        updates.enter_context(updating(folder))  # held until the new folder is in place
    return folder


def parity_images(classifier: Classifier) -> ImageDataset:
    """The model's own test images that still exist.

    Raises
    ------
    DataError
        No test image exists any more.
    """
    found = own_images(classifier, "test")
    if found is None:
        raise DataError("the model's test images are no longer where they were; name other images with `images`")
    return found


def own_images(classifier: Classifier, split: str) -> ImageDataset | None:
    """The images of one split of the model's own data that still exist; ``None`` if there are none."""
    origin = classifier.origin
    if origin is None:
        return None
    table = origin.manifest.table
    there = np.array([path in origin.manifest.images or Path(path).is_file() for path in table["path"]], bool)
    own = replace(origin.manifest, table=table[(table["split"] == split) & there])
    if own.readable.empty:
        return None
    own = with_faces(own, classifier.gate)
    return dataset_of(own, classifier.card.preprocessing, classifier.card.classes, split)


@contextmanager
def claimed(output: Path | str | None, overwrite: bool) -> Iterator[Path | None]:
    """The model folder to write, if there is one; checked, and claimed against other processes during the block.

    Raises
    ------
    UsageError
        ``output`` is not free, and not a model folder that may be replaced.
    FaceValueError
        Another process is writing it.
    """
    if output is None:
        yield None
    else:
        with output_folder.claimed(Path(output), CARD, _WHAT, overwrite) as folder:
            yield folder


def expect_other(output: Path | None, *sources: Path | None) -> None:
    """Raise ``UsageError`` if ``output`` is a model folder that the new model is made from."""
    for source in sources:
        if output is not None and source is not None and output.exists() and output.samefile(source):
            raise UsageError(
                f"{output} is what the new model is made from, and must not be overwritten; choose another `output`"
            )


@contextmanager
def updating(folder: Path) -> Iterator[None]:
    """Hold the lock under which a model folder's card is read and replaced.

    Raises
    ------
    FaceValueError
        Another process held it for ten minutes.
    """
    with locks.alone(output_folder.lock_of(folder.resolve(), ".card"), wait=_PATIENCE) as ours:
        if not ours:
            raise FaceValueError(f"another process is updating {folder}; try again when it has ended")
        yield


def keep(folder: Path, of: ModelCard, *evidence: AnyEvidence, outputs: Sequence[ImageOutputs] = ()) -> None:
    """Add evidence to the card of a model folder and rewrite its report.

    Parameters
    ----------
    outputs : what the model gave for each image of evaluations among the evidence.
    of : the card of the model that the evidence is about. If the folder holds another model by now, nothing is
        written, and a finding says so.
    """
    with updating(folder):
        if ModelCard.load(folder).decision() != of.decision():
            text = (
                f"{folder} holds another model than when this began, so these figures are of the earlier one and were "
                "not added to the card"
            )
            say([finding("model-replaced-meanwhile", text)])
            return
        keep_evidence(folder, *evidence)
        if outputs:
            _keep_outputs(folder, outputs)
        write_documents(folder)


def _keep_outputs(folder: Path, new: Sequence[ImageOutputs]) -> None:
    """Add outputs to the model folder's file of them; they replace older ones of the same evaluation."""
    card = ModelCard.load(folder)
    before = read_outputs(card.checked_file(folder, OUTPUTS), card.classes) if OUTPUTS in card.files else ()
    identities = {each.identity for each in new}
    kept = [*(each for each in before if each.identity not in identities), *new]
    write_outputs(_of_evaluations(card, kept), card.classes, folder / OUTPUTS)
    card.changed(files={**card.files, OUTPUTS: files.sha256(folder / OUTPUTS)}).save(folder)


def _of_evaluations(card: ModelCard, outputs: Sequence[ImageOutputs]) -> list[ImageOutputs]:
    """Those that belong to an evaluation on the card."""
    known = {evaluation.identity() for evaluation in card.of_kind(Evaluation)}
    return [each for each in outputs if each.identity in known]
