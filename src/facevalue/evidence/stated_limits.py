"""What a model promises of its answers, as it is on the card: a stated error, and a bound on wrong accusations."""

from __future__ import annotations

from facevalue.evidence.record import Record


class AnsweredImages(Record, frozen=True):
    """Answers to the calibration images under one condition, at the limit.

    Attributes
    ----------
    n, groups : images, and groups of images that are alike.
    answered, wrong : number of answers, and of wrong ones.
    upper : one-sided exact upper bound of the error among answers, as it was tested.
    """

    n: int
    groups: int
    answered: int
    wrong: int
    upper: float


class StatedError(Record, frozen=True):
    """The promise that the error among answered images is at most ``error``, with confidence ``certainty``.

    Attributes
    ----------
    kept : whether the calibration images show it. If not, the model answers nothing.
    limit : the confidence from which it answers.
    design_effect : by how much fewer independent images these are worth, because those of a group are alike.
    sequences : number of sequences of limits among which the risk was divided.
    conditions : the counts by condition: ``original``, and each kind of damage.
    more : about how many more calibration images it takes, where it is not kept; ``None`` if no number would do.
    """

    error: float
    certainty: float
    kept: bool
    limit: float
    design_effect: float
    sequences: int
    conditions: dict[str, AnsweredImages]
    more: int | None = None


class AccusedImages(Record, frozen=True):
    """Calibration images of one class under one condition, beyond a threshold.

    Attributes
    ----------
    n, groups : images, and groups of them; a group counts once.
    reached : groups with an image beyond the threshold.
    upper : exact 95 % upper bound of the rate of such groups.
    """

    n: int
    groups: int
    reached: int
    upper: float


class FalsePositives(Record, frozen=True):
    """The promise that at most ``rate`` of each source's negatives are called positive, with confidence ``certainty``.

    Attributes
    ----------
    kept : whether there are enough negatives of every source. If not, the model calls no image positive.
    upper : probability from which an image is called positive.
    lower : probability up to which it is called negative, so chosen that at most ``rate`` of the positives are;
        ``None`` if there are too few positives.
    sources : the negatives by source and condition. A source without a name is all negatives together.
    positives : the positives below ``lower``, by condition.
    more : for each source that is too small, how many more groups of its images it takes.
    """

    rate: float
    certainty: float
    kept: bool
    upper: float
    lower: float | None
    sources: dict[str, dict[str, AccusedImages]]
    positives: dict[str, AccusedImages] = {}
    more: dict[str, int] = {}
