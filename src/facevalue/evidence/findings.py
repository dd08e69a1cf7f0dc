"""Findings: notes and warnings about figures, each with a stable code. ``docs/findings.md`` says what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from facevalue.evidence.record import Record
from facevalue.support import progress

Severity = Literal["info", "warning", "error"]
Value = str | int | float | bool | None | tuple[str | int | float, ...]

DOCS = "https://github.com/facevalue/facevalue/blob/main/docs/findings.md"
"""The page with one section per code."""


@dataclass(frozen=True)
class FindingKind:
    """What all findings of one code have in common.

    Attributes
    ----------
    severity : ``info`` is good to know; ``warning`` means that a figure may mislead; ``error`` means that a figure or a
        file is wrong and should not be used.
    meaning : one line.
    """

    severity: Severity
    meaning: str


KINDS: dict[str, FindingKind] = {
    # The images.
    "folder-without-image": FindingKind("warning", "A folder next to the class folders holds no image."),
    "images-outside-classes": FindingKind("warning", "Images outside the class folders are left out."),
    "files-passed-over": FindingKind("info", "Files that are not images, or are in no class, are skipped."),
    "class-names-joined": FindingKind("warning", "Class names that look the same are joined to one class."),
    "class-names-alike": FindingKind("warning", "Names of different classes look nearly the same."),
    "unreadable-files": FindingKind("info", "Files cannot be read and are left out."),
    "class-unreadable": FindingKind("error", "No image of a class can be read."),
    "contradictory-labels": FindingKind("warning", "The same image is in several classes."),
    "uneven-classes": FindingKind("info", "One class has at least three times as many images as another."),
    "copies-not-all-compared": FindingKind("warning", "Not every pair of similar images was compared."),
    "file-facts-tell-classes": FindingKind("warning", "File facts alone predict the class."),
    "file-facts-may-tell-classes": FindingKind("info", "File facts may predict the class, perhaps by chance."),
    "file-facts-not-checked": FindingKind("info", "There are too few independent groups to check the file facts."),
    "processing-tells-classes": FindingKind("warning", "How the images were processed tells the classes apart."),
    "processing-tells-sources": FindingKind("warning", "How the images were processed tells the sources apart."),
    "processing-may-tell-classes": FindingKind(
        "info", "Traces of processing tell the classes apart, perhaps because of what the images show."
    ),
    "processing-not-checked": FindingKind("info", "There are too few groups or too small images to check processing."),
    "classes-enlarged-unevenly": FindingKind("warning", "More images of one class than of another were enlarged."),
    "unpublished-checksum": FindingKind("info", "Nobody has published a checksum of a downloaded archive."),
    # Sources.
    "sources-explain-accuracy": FindingKind("warning", "Permuted labels of whole sources are learned as well."),
    "sources-told-apart": FindingKind("info", "Sources of one class can be told apart, but classes are recognised."),
    "source-unseen-at-chance": FindingKind("warning", "A source that nothing was learned from is not recognised."),
    "swapped-sources-reverse-answers": FindingKind("warning", "With exchanged sources the answers reverse."),
    "simple-measure-as-good": FindingKind("warning", "A simple measure tells the classes apart as well as the model."),
    "sources-cannot-be-told": FindingKind("info", "There are too few sources or images for a control of sources."),
    "unseen-source-accused": FindingKind("warning", "Many negatives of a source left out are called positive."),
    # The splits.
    "taken-for-splits": FindingKind("info", "Folders are used as splits because of their names."),
    "groups-too-few": FindingKind("info", "A class has too few groups to be in every split."),
    "near-duplicates-take-class": FindingKind(
        "warning", "One group of near-duplicates holds a large share of a class."
    ),
    "near-duplicate-chains": FindingKind("warning", "Many images form chains of near-duplicates, which were cut."),
    "near-duplicate-chains-cut": FindingKind("info", "Some images form chains of near-duplicates, which were cut."),
    "leak-across-splits": FindingKind("warning", "The same image or group is in several splits."),
    "leaks-dropped": FindingKind("warning", "Images that were in several splits were left out."),
    "new-images-between-splits": FindingKind("warning", "New images belong to groups with images in several splits."),
    "groups-not-found": FindingKind("warning", "No file name matches the recipe's pattern for groups."),
    "sources-in-all-splits": FindingKind("info", "Folders of sources are no groups: their images are in all splits."),
    "sources-in-one-split": FindingKind("info", "Folders below the classes are groups, but may be sources."),
    "hard-images-known": FindingKind("warning", "Some hard images are in the model's own data and were left out."),
    # Training.
    "eps-ramp-too-long": FindingKind("warning", "Adversarial training ends before eps is reached."),
    "one-step-training-collapsed": FindingKind("warning", "One-step adversarial training collapsed; PGD goes on."),
    "batch-norm-per-process": FindingKind(
        "warning", "Each process takes the statistics of batch norm from its own images."
    ),
    "memory-short": FindingKind("warning", "A probe needs more memory than is available."),
    "trial-failed": FindingKind("warning", "A trial of a search failed."),
    "refit-fits-worse": FindingKind("warning", "After the refit on more images, the model fits its images less well."),
    "figures-before-refit": FindingKind("warning", "A figure was measured before the refit."),
    "calibrated-on-hard-images-only": FindingKind("warning", "The model is calibrated on hard images only."),
    "no-shared-calibration-images": FindingKind("warning", "No calibration image is new to all members."),
    "no-shared-test-images": FindingKind("warning", "No test image is new to all members."),
    # Evaluation.
    "model-replaced-meanwhile": FindingKind("warning", "The model folder was replaced while its model was evaluated."),
    "no-test-evaluation": FindingKind("warning", "The model was never evaluated on test images."),
    "few-images-of-class": FindingKind("warning", "A class has fewer than 30 images."),
    "no-image-of-class": FindingKind("warning", "A class has no image."),
    "class-never-predicted": FindingKind("warning", "The model never predicts a class that has images."),
    "class-never-recognised": FindingKind("warning", "No image of a class is predicted correctly."),
    "no-better-than-one-answer": FindingKind(
        "warning", "The model is no better than always predicting the largest class."
    ),
    "labels-exchanged": FindingKind("warning", "The labels of some classes seem to be exchanged."),
    "calibration-labels-by-chance": FindingKind(
        "warning", "Predictions on the calibration images are no better than chance."
    ),
    "few-calibration-images": FindingKind("warning", "The model is calibrated on fewer than 100 images."),
    "error-not-promised": FindingKind("warning", "The calibration images do not show the stated error."),
    "promise-from-few-groups": FindingKind("info", "A stated error rests on few groups of images."),
    "false-positives-not-promised": FindingKind(
        "warning", "The calibration images do not show the bound on false positives."
    ),
    "no-lower-threshold": FindingKind("info", "There are too few positives to choose the lower threshold."),
    "images-seen-in-training": FindingKind("warning", "Images were used to make the model."),
    "test-images-left-out": FindingKind("warning", "The model's own test images were left out of calibration."),
    "small-slice": FindingKind("warning", "A slice has fewer than 30 images."),
    "slice-value-missing": FindingKind("warning", "Images without a value of the slice column are left out."),
    "slices-differ-in-classes": FindingKind("warning", "The slices have different shares of the classes."),
    "forgotten": FindingKind("warning", "Accuracy on the old test images fell."),
    "no-gain-on-hard-images": FindingKind("warning", "There is no significant gain on the hard test images."),
    "hard-set-lacks-class": FindingKind("warning", "The hard test images lack a class."),
    "ensemble-without-promise": FindingKind("warning", "The members' promises do not hold for the ensemble."),
    "models-differ-in-classes": FindingKind("warning", "Compared models have different classes."),
    "compared-on-different-images": FindingKind("warning", "Compared figures were measured on different images."),
    "strangers-answered": FindingKind("warning", "Images that the model must refuse are answered too often."),
    "novelty-from-scratch": FindingKind("warning", "Novelty uses features that were learned from the classes only."),
    "strangers-known": FindingKind("warning", "Stranger images are in the model's own data and were left out."),
    "strangers-unreadable": FindingKind("warning", "Stranger images cannot be read and are left out."),
    "strangers-without-gate": FindingKind("info", "Strangers are scored without the face gate."),
    "strangers-not-tested": FindingKind("warning", "All images of a set of strangers are needed to fit novelty."),
    "strangers-thinned": FindingKind("info", "Only a part of a large folder of strangers is used."),
    "strangers-not-given-again": FindingKind(
        "warning", "Strangers that the model was trained with were not given to fine-tuning."
    ),
    # Marks of origin.
    "credentials-not-checked": FindingKind("warning", "Content Credentials of files were not checked."),
    "marks-removed": FindingKind("info", "Encoding images again removes what they say of their origin."),
    "unknown-sources-answered": FindingKind("warning", "Images of unknown sources are often answered as if known."),
    "new-images-left-out": FindingKind("info", "Images of new sources are left out."),
    "source-not-learned": FindingKind("warning", "After `adapt`, the new source is still answered wrongly too often."),
    "sources-not-combined": FindingKind("warning", "An ensemble does not abstain on unknown sources."),
    "old-images-not-found": FindingKind("warning", "The change on the old test images could not be measured."),
    # Faces.
    "images-without-face": FindingKind("warning", "Images in which no face was found are left out."),
    "export-takes-faces": FindingKind("info", "An exported file takes crops of faces, and the detector is beside it."),
    "face-gate-off": FindingKind("warning", "A model that was trained on faces gets whole images."),
    "face-gate-not-in-training": FindingKind(
        "info", "Faces are looked for before a model that was trained on whole images."
    ),
    # Robustness.
    "compared-under-different-attacks": FindingKind("warning", "Compared models were not attacked in the same way."),
    "low-clean-accuracy": FindingKind("warning", "Clean accuracy may be no better than chance."),
    "model-not-deterministic": FindingKind("warning", "Two runs of the model disagree."),
    "unbounded-attack-fails": FindingKind("error", "An attack without limits fails on some images."),
    "gradients-zero": FindingKind("warning", "Gradients are zero or nearly zero."),
    "gradients-misleading": FindingKind("warning", "A step along the gradient does not raise the loss."),
    "softmax-saturated": FindingKind("warning", "The gradient of cross-entropy is zero in float32."),
    "gradients-masked": FindingKind("warning", "A defence only hides gradients."),
    "adaptive-attack-too-weak": FindingKind("warning", "The attack through the defence is weaker than the blind one."),
    "robust-accuracy-rises": FindingKind("warning", "Robust accuracy rises with eps."),
    "attack-no-better-than-noise": FindingKind("warning", "An attack is never better than random noise."),
    "black-box-beats-white-box": FindingKind("warning", "An attack without gradients beats those with gradients."),
    "robust-accuracy-impossible": FindingKind("error", "More images stay correct than is possible at this eps."),
    "robust-accuracy-implausible": FindingKind("warning", "More images stay correct than is known for such networks."),
    "fragile-to-corruption": FindingKind("warning", "Even a mild everyday corruption lowers accuracy."),
    "verdict-follows-processing": FindingKind("warning", "The processing of an image says more than its label."),
    "answers-flip-when-remade": FindingKind("warning", "Answers change when an image is saved again."),
    "heat-no-better-than-random": FindingKind("warning", "Heat maps find what the model uses no better than chance."),
    "heat-ignores-weights": FindingKind("warning", "Heat maps hardly depend on the model's weights."),
    "attributions-do-not-add-up": FindingKind("warning", "Attributions do not sum to what they explain."),
    "stability-not-calibrated": FindingKind("warning", "The limits of stable answers were not chosen for this number."),
    "few-images-for-stability": FindingKind("warning", "Too few calibration images to show how many answers flip."),
    "attack-scores-once": FindingKind("info", "Attacks measure single network inputs, not stable answers."),
    "models-differ-in-inputs": FindingKind("warning", "Compared models make answers from different numbers of inputs."),
    "export-scores-once": FindingKind("info", "An exported file alone does not make stable answers."),
    "smoothing-lowers-accuracy": FindingKind("warning", "Randomised smoothing lowers accuracy."),
    # Exported files.
    "runtime-answers-otherwise": FindingKind("error", "A runtime does not give the model's answers."),
    "engine-answers-otherwise": FindingKind(
        "warning", "The faster engine does not give the model's answers, so another is used."
    ),
    "abstains-otherwise": FindingKind("warning", "A file of lower precision abstains on other images than the model."),
    "read-otherwise": FindingKind("warning", "A target reads some images otherwise than facevalue does."),
    # Older cards.
    "unclassified": FindingKind("warning", "A warning from a card of format 1, which had no codes."),
}
"""All codes. ``docs/findings.md`` has one section for each."""


class Finding(Record, frozen=True):
    """A note, warning or error about figures.

    Attributes
    ----------
    code : one of :data:`KINDS`; stable, for programs.
    severity : see :class:`FindingKind`.
    text : for people, with figures.
    values : the figures and names in ``text``, for programs.
    """

    code: str
    severity: Severity
    text: str
    values: dict[str, Value] = {}

    def __post_init__(self) -> None:
        _kind(self.code)

    def __str__(self) -> str:
        return f"{self.text} [{self.code}]"

    @property
    def line(self) -> str:
        """One line for the terminal.

        >>> finding("no-image-of-class", "no image of 'cat'", label="cat").line
        "warning: no image of 'cat' [no-image-of-class]"
        """
        return f"{'note' if self.severity == 'info' else 'warning'}: {self}"

    @property
    def link(self) -> str:
        """Address of the documentation of this code."""
        return f"{DOCS}#{self.code}"


def finding(code: str, text: str, **values: Value) -> Finding:
    """Make a finding with the severity of its code.

    Raises
    ------
    ValueError
        The code is not registered.
    """
    return Finding(code=code, severity=_kind(code).severity, text=text, values=values)


def _kind(code: str) -> FindingKind:
    if code not in KINDS:
        raise ValueError(f"there is no finding {code!r} in facevalue.evidence.findings.KINDS")
    return KINDS[code]


NAMED = 3
"""Most classes, files or others that a finding names; it counts the rest."""


def named(labels: Collection[str]) -> str:
    """The first labels, and how many more there are.

    >>> named(["a", "b", "c", "d"])
    "'a', 'b', 'c' and 1 more"
    """
    more = len(labels) - NAMED
    return ", ".join(map(repr, islice(labels, NAMED))) + (f" and {more} more" if more > 0 else "")


def say(findings: Iterable[Finding]) -> None:
    """Report findings to the user, one line each."""
    for found in findings:
        progress.note(found.line)


def distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings without repetitions, in their order."""
    return tuple({(found.code, found.text): found for found in findings}.values())
