"""What the figures in the tables mean, for ``--explain-figures`` and the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from rich.table import Table

LEGEND = {
    "n": "number of images that the figures in this row are of",
    "test n": "number of test images",
    "95 %": "interval that holds the true value in 95 % of cases; few images make it wide",
    "95 % after": "95 % interval of the accuracy after fine-tuning",
    "split": "which images: train fits the weights, validation selects, calibration sets probabilities, test measures",
    "accuracy": "share of images that are classified correctly; if the model abstains, the class it leans to counts",
    "balanced": "mean recall of the classes: every class counts the same, however many images it has",
    "recall": "share of the images of this class that are classified correctly",
    "recall of CLASS": "share of the images of this class that are classified correctly",
    "auroc": "chance that an image of the positive class gets a higher score for it than another; 0.5 is guessing",
    "ece": "expected calibration error: how far probabilities and accuracy are apart on average; 0 is perfect",
    "ECE before": "expected calibration error with the probabilities of the network itself, before calibration",
    "by chance": "calibration error that perfectly calibrated probabilities would show on so few images",
    "log loss": "mean of minus the logarithm of the probability of the true class; lower is better",
    "error": "share of wrong answers among the answered images",
    "strangers": "a set of images of other kinds, which the model must refuse",
    "answered as": "which classes the answered strangers are taken for",
    "brier": "mean squared error of the probabilities, from 0 (perfect) to 2",
    "answered": "share of images on which the model does not abstain",
    "accuracy of those": "accuracy on the images on which the model does not abstain",
    "true / predicted": "rows are true classes, columns are predicted classes, cells are numbers of images",
    "true class": "the class by the label",
    "mostly predicted instead": "the most frequent wrong class, and how often it is predicted",
    "mild": "accuracy at the weakest of five strengths, and the strength",
    "severe": "accuracy at the strongest of five strengths, and the strength",
    "unit of strength": "what the number after «at» counts",
    "L2 radius": "length of a change over all pixels, with pixels from 0 to 1",
    "certified accuracy": "share of images that the smoothed model gets right, proven for any change up to the radius",
    "train": "accuracy on the training images",
    "validation": "accuracy on the validation images, by which models are chosen",
    "test": "accuracy on the test images, which the model has not seen",
    "gap": "accuracy on train minus accuracy on test; large if the model learned its images by heart",
    "parameters": "number of weights of the network",
    "time per epoch": "duration of one pass over the training images",
    "time per image": "median time from one image file to its prediction on this machine",
    "clean": "accuracy on the images without an attack",
    "robust": "share of images that are classified correctly before and after the attack",
    "robust EPS": "accuracy under the strongest attack that was run with this eps (linf)",
    "corrupted": "mean accuracy over all everyday corruptions",
    "certified radius": "mean radius within which no change can change a correct prediction",
    "norm": "how a change is measured: linf by its largest change of a pixel value, l2 by its length over all pixels",
    "eps": "largest change that the attack may make, with pixels from 0 to 1; 4/255 is four of 255 levels",
    "defense": "what was applied before the model; adaptive attacks go through it, blind ones ignore it",
    "time": "duration of the attack",
    "changed to CLASS": "share of images of other classes that the attack changes to this class",
    "new source": "class and name of a source that was added",
    "right before": "share of the images of the new source that the model predicted correctly before",
    "right after": "the same after; each image is judged by a model that has not seen it",
    "known before": "share of its images within the limit on the distance to the nearest source, before",
    "known after": "the same after; each image is judged by a model that has not seen it",
    "before": "accuracy of the model before fine-tuning",
    "after": "accuracy of the model after fine-tuning",
    "points": "accuracy after minus accuracy before, in percentage points",
    "validation loss": "mean negative log-likelihood on the validation images, in nats; lower is better",
    "temperature": "the logits are divided by it, so that probabilities match accuracy; above 1: less sure",
    "threshold": "probability from which the positive class is predicted",
    "confidence": "below this probability of its prediction the model abstains (uncertain)",
    "novelty": "above this distance from the training images the model abstains (novel)",
    "target": "accuracy on answered images that the limit of confidence was chosen for",
    "probability": "calibrated probability of the class that the model predicts or leans to",
    "marks of origin": "what the file says of its own origin; no part of the prediction",
    "AUC of file facts": "how well file size, format and the like alone tell the classes apart; 0.5 is guessing",
    "AUC": "how well this fact alone tells the classes apart; 0.5 is guessing",
    "usual value by class": "median and range of most images, or the most frequent value",
    "groups": "number of groups; images of one group (a person, near-duplicates) stay in one split",
    "groups of identical files": "sets of files with the same bytes",
    "groups of near-duplicates": "sets of images that look nearly the same",
    "contradictions": "sets of images that look the same and have different labels",
    "leaks across given splits": "images or groups that are in more than one split",
    "suspicious labels": "images whose label contradicts what a network sees in similar images",
    "heat n": "number of images in whose heat map any region supports the class",
    "drop hot": "fall of the probability when the hottest fifth of the pixels is blurred",
    "drop random": "fall of the probability when as many pixels in random patches are blurred",
    "insertion": "mean probability while the hottest pixels come back first into the blurred image; higher is better",
    "deletion": "mean probability while the hottest pixels are blurred first; lower is better",
    "gain": "insertion less deletion; 0 on average for random patches",
    "rank correlation": "of the heat with that of the same network with shuffled weights; near 1: not about the model",
    "seconds an image": "time to explain one image on this machine",
    "unreadable files": "files that are left out because they cannot be read",
    "control": "a question to the sources; docs/explanation/sources.md says how to read each answer",
    "told from its class": "AUROC of this source against the other sources of its class; 0.5: they look alike",
    "left out: AUROC": "AUROC of this source against the other class, if nothing was learned from it; 0.5 is guessing",
    "TPR at FPR 0.5 %": "share of positives found if at most 0.5 % of the negatives may be called positive",
    "at 1 %": "the same if at most 1 % of the negatives may be called positive",
    "called positive": "share of the images of a source of the negative class that are called positive",
    "mean auroc": "mean AUROC of the sources that were left out",
    "lowest": "the lowest AUROC of a source that was left out",
    "mean balanced": "mean balanced accuracy of the sources that were left out, at the model's own threshold",
    "most called positive": "the highest share of a negative source's images that are called positive",
    "skipped files and folders": "files that are no images, hidden, or in no class",
}
"""By heading; CLASS and EPS stand for a name or a number."""

_PLACES = ("CLASS", "EPS")

_asked: ContextVar[bool] = ContextVar("facevalue_explain_figures", default=False)


@contextmanager
def asked(wanted: bool) -> Iterator[None]:
    """Inside the block, :func:`wanted` tells whether the user wants the legend."""
    token = _asked.set(wanted)
    try:
        yield
    finally:
        _asked.reset(token)


def is_asked() -> bool:
    """Whether the user wants the legend."""
    return _asked.get()


def meaning_of(heading: str) -> str | None:
    """The meaning of a heading; ``None`` if it needs none.

    >>> meaning_of("recall of cat") == LEGEND["recall of CLASS"]
    True
    """
    if heading in LEGEND:
        return LEGEND[heading]
    for key, meaning in LEGEND.items():
        start, _, place = key.rpartition(" ")
        if place in _PLACES and heading.startswith(f"{start} "):
            return meaning
    return None


def rows_of(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Every figure of these tables once, with its meaning. In tables of one figure a row, the first cells are names."""
    names: dict[str, None] = {}
    for table in tables:
        headings = [str(column.header) for column in table.columns]
        names |= dict.fromkeys(headings)
        if headings[0] in ("setting", "finding"):
            names |= dict.fromkeys(str(cell) for cell in table.columns[0].cells)
    found = {name: meaning for name in names if (meaning := meaning_of(name)) is not None}
    return list(found.items())
