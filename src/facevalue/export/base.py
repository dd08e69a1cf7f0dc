"""The base class of exporters: a subclass writes a file, the base class measures its parity with the model."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.errors import DataError, FaceValueError, ParityError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import ExportReport, ParityFigures
from facevalue.export.parity import Reference, problem_of
from facevalue.images.parity import ParityFile
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.weight_sharing import sharing_weights
from facevalue.support import files, machine, progress
from facevalue.support.output_folder import free_folder

Precision = Literal["fp32", "bf16", "int8"]

Pixels = NDArray[np.uint8]
"""Network inputs (n, s, s, 3) uint8 RGB."""

CALIBRATION_IMAGES = 200
"""Most images that the ranges of 8-bit numbers are measured on."""

MOST_ABSTENTIONS = 0.01
"""Share of images on which a file of lower precision may abstain otherwise without a finding."""


@dataclass(frozen=True)
class Runtime:
    """An exported file, opened with the engine that people run it with.

    Attributes
    ----------
    run : network inputs (n, s, s, 3) uint8 to ``probabilities`` (n, k) and ``novelty`` (n,), by name. A target that
        has no novelty leaves it out; abstentions for this reason are then not compared.
    versions : of the packages that run it.
    read : how the target reads an image, as a network input (s, s, 3) uint8; ``None`` if facevalue reads for it.
    """

    run: Callable[[Pixels], Mapping[str, NDArray[np.floating]]]
    versions: Mapping[str, str]
    read: Callable[[ImageInput], Pixels] | None = None


class Exporter(ABC):
    """Base class of an export target. A subclass implements :meth:`missing`, :meth:`write` and :meth:`open`.

    Attributes
    ----------
    name : the target, as in ``--to``.
    precisions : number formats that it can write; the first is the default.
    folder : whether it writes a folder and not a file.
    mark : a file in every such folder; an existing folder without it is not replaced.
    takes_faces : whether the target can be used for a model of faces: its user is told to look for faces first, as the
        card's ``gate`` says, and gets the face detector. Others refuse such a model.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    folder: ClassVar[bool] = False
    mark: ClassVar[str] = ""
    takes_faces: ClassVar[bool] = False

    @abstractmethod
    def missing(self, precision: Precision) -> str | None:
        """Why this machine cannot write and run the target, and what to do; ``None`` if it can."""

    @abstractmethod
    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Write the network, from pixels to probabilities, to ``path``; returns the versions of what converted it.

        Parameters
        ----------
        classifier : a CPU copy in eval mode that shares its weights with the original: they must not be written into.
        path : an empty file, or an empty folder if the target is a folder.
        calibration : network inputs to measure the ranges of 8-bit numbers on; ``None`` for other precisions.
        """

    @abstractmethod
    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """Open what :meth:`write` has written."""

    @final
    def check(self, precision: Precision) -> None:
        """Raise ``UsageError`` if the target has no such precision, or cannot be written and run on this machine."""
        if precision not in self.precisions:
            raise UsageError(
                f"Expected `precision` to be {' or '.join(self.precisions)} for {self.name}, but got {precision!r}"
            )
        missing = self.missing(precision)
        if missing is not None:
            raise UsageError(missing)

    @final
    def __call__(
        self,
        classifier: Classifier,
        output: Path,
        dataset: ImageDataset,
        *,
        drawn: Sequence[ParityFile] = (),
        precision: Precision = "fp32",
        calibration: ImageDataset | None = None,
    ) -> ExportReport:
        """Write ``output``, and measure its parity with ``classifier`` from file bytes to label.

        Parameters
        ----------
        classifier : not changed, including its device and mode.
        output : file or folder to write; it is kept only if parity holds.
        dataset : labelled images to compare on.
        drawn : more files to compare on, without labels.
        calibration : images for 8-bit numbers; at most :data:`CALIBRATION_IMAGES`, drawn evenly from the classes.

        Raises
        ------
        ParityError
            An answer differs, or too much accuracy is lost. Nothing is written, and an existing file at ``output`` is
            kept.
        DataError
            There is no image to compare on, or none to calibrate 8-bit numbers on.
        UsageError
            The target cannot represent the network, does not have this precision, or is not installed.
        """
        start = time.perf_counter()
        self.check(precision)
        if self.folder:
            free_folder(output, self.mark, f"a folder of the target {self.name}", overwrite=True)
        reference = Reference(classifier, dataset, drawn)
        replacing = files.replacing_folder if self.folder else files.replacing_file
        with progress.within(f"export to {self.name}"), replacing(output) as partial:
            figures = self.measure(reference, partial, precision=precision, calibration=calibration)
            if figures.problem is not None:
                raise ParityError(f"{output} was not written: {figures.problem}")
        report = ExportReport.of(figures, path=output.name, provenance=Provenance.of(dataset, start))
        return report.changed(warnings=(*report.warnings, *_scores_once(classifier.card)))

    @final
    def measure(
        self,
        reference: Reference,
        path: Path,
        *,
        precision: Precision = "fp32",
        calibration: ImageDataset | None = None,
    ) -> ParityFigures:
        """Write to ``path``, an empty file or folder, and return the figures; ``problem`` says if it must not be used.

        Parameters
        ----------
        reference : the model and its answers.
        precision, calibration : as for calling the exporter.
        """
        pixels = _calibration_pixels(calibration) if precision == "int8" else None
        # Of a model of faces, the network takes the crops; every runtime looks for faces before that.
        card = reference.model.card.of_whole_images.with_inputs(0)
        with progress.work(f"writing {self.name} {precision}", 1, "files") as work:
            versions = self.write(sharing_weights(reference.model), path, precision, pixels)
            work.advance()
        size = _bytes_in(path)
        if not size:
            raise FaceValueError(f"{self.name} wrote nothing")
        runtime = self.open(card, path, precision)
        figures = reference.compared(runtime.run, exact=precision == "fp32", read=runtime.read).changed(
            target=self.name,
            precision=precision,
            bytes=size,
            calibration_images=0 if pixels is None else len(pixels),
            engine={**versions, **runtime.versions},
            processor=machine.processor(),
        )
        return figures.changed(problem=problem_of(figures), warnings=(*figures.warnings, *_abstentions(figures)))


def _abstentions(figures: ParityFigures) -> tuple[Finding, ...]:
    """A finding if a file of lower precision keeps the labels, but often abstains where the model does not."""
    only, n = figures.answers_changed - figures.labels_changed, figures.n + figures.drawn
    if figures.precision == "fp32" or only <= MOST_ABSTENTIONS * n:
        return ()
    text = (
        f"on {only} of {n} images {figures.target} {figures.precision} gives the model's label, but abstains where the "
        "model answers or answers where the model abstains"
    )
    return (finding("abstains-otherwise", text, target=figures.target, precision=figures.precision, n=only),)


def _scores_once(card: ModelCard) -> tuple[Finding, ...]:
    """What a program with only the exported file cannot do."""
    if card.inputs == 1:
        return ()
    text = (
        f"the file scores one network input; the model's answers are made from {card.inputs} versions of it, which "
        "facevalue's Python, command line and server score. A program with the file alone gets the probabilities of "
        "the image as it is, and does not abstain as unstable"
    )
    return (finding("export-scores-once", text, inputs=card.inputs),)


def _calibration_pixels(images: ImageDataset | None) -> Pixels:
    if images is None or not len(images):
        raise DataError(
            "8-bit numbers need calibration images, but the model's own are no longer where they were; "
            "give some with `calibration`"
        )
    return images.some(CALIBRATION_IMAGES).pixels()


def _bytes_in(path: Path) -> int:
    return sum(p.stat().st_size for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())
