"""Adversarial training, distillation and the probe."""

from __future__ import annotations

import math
from typing import Literal

from facevalue.training.settings.base import Settings, expect


class AdversarialSettings(Settings, frozen=True):
    """Adversarial training; see :mod:`facevalue.training.adversarial`.

    Attributes
    ----------
    method : ``pgd`` (Madry et al. 2018), ``fast`` (Wong et al. 2020), ``trades`` (Zhang et al. 2019), ``free``
        (Shafahi et al. 2019), or ``none``.
    norm : norm of the threat.
    eps : radius of the threat, for pixels of the network input scaled to [0, 1]: 4/255 is 0.01569.
    share : share of each batch that is attacked, in (0, 1]; ``trades`` attacks all images.
    steps : attack steps of ``pgd`` and ``trades``.
    reach : length of all steps together, as a multiple of eps.
    beta : weight of the robust part of the loss of ``trades``.
    replays : number of times that ``free`` uses each batch.
    ramp_epochs : epochs over which eps grows from 0.
    validation_steps : steps of the PGD attack on validation after each epoch; the weights with the best robust
        accuracy are kept.
    """

    method: Literal["none", "pgd", "fast", "trades", "free"] = "none"
    norm: Literal["linf", "l2"] = "linf"
    eps: float = 4 / 255
    share: float = 0.5
    steps: int = 7
    reach: float = 2.5
    beta: float = 6.0
    replays: int = 4
    ramp_epochs: int = 0
    validation_steps: int = 10

    def __post_init__(self) -> None:
        expect(
            self.eps > 0 and (self.norm == "l2" or self.eps <= 1), "eps", "above 0 and, for linf, at most 1", self.eps
        )
        expect(0 < self.share <= 1, "share", "in (0, 1]", self.share)
        expect(self.reach > 0 and self.beta > 0, "reach and beta", "above 0", (self.reach, self.beta))
        expect(self.ramp_epochs >= 0, "ramp_epochs", "at least 0", self.ramp_epochs)
        for name in ("steps", "replays", "validation_steps"):
            expect(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))


class DistillSettings(Settings, frozen=True):
    """Distillation from a teacher model; see :mod:`facevalue.training.distillation`.

    Attributes
    ----------
    teacher : the teacher's model folder; empty for no distillation.
    temperature : softens the probabilities, at least 1.
    weight : share of the teacher's probabilities in the loss, in (0, 1]; the rest is for the labels.
    form : ``defensive`` (Papernot et al. 2016), ``knowledge`` (Hinton et al. 2015), or ``auto``: defensive if the
        network is the same as the teacher's, else knowledge.
    teacher_sha256 : SHA-256 of the teacher's weights; set by training.
    """

    teacher: str = ""
    temperature: float = 20.0
    weight: float = 1.0
    form: Literal["auto", "defensive", "knowledge"] = "auto"
    teacher_sha256: str = ""

    def __post_init__(self) -> None:
        expect(self.temperature >= 1, "temperature", "at least 1", self.temperature)
        expect(0 < self.weight <= 1, "weight", "in (0, 1]", self.weight)


class ProbeSettings(Settings, frozen=True):
    """The linear head of the method ``probe``; see :func:`facevalue.training.probe.fit_probe`.

    Attributes
    ----------
    loss : ``logistic``, or ``squared`` error to 0 and 1, for many more features than images.
    strengths : inverses of the L2 penalty; validation chooses one.
    scale : features are divided by one number (``whole``), ``each`` by its own deviation, or ``kind``: each by its own
        deviation and by the size of its kind, for a network with several kinds of features.
    copies : number of augmented copies of every training image; 0.5: of every second image. Each costs another pass
        through the backbone.
    copy_consistency : weight in the loss of the squared difference between the scores of a copy and of its image.
        Above 0, copies are used only for that. Needs ``squared`` loss and ``copies``.
    quarter_consistency : weight in the loss of the squared differences between the scores of an image's four quarters.
        Needs ``squared`` loss and a network whose features do not depend on position.
    """

    loss: Literal["logistic", "squared"] = "logistic"
    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    scale: Literal["whole", "each", "kind"] = "whole"
    copies: float = 0.0
    copy_consistency: float = 0.0
    quarter_consistency: float = 0.0

    def __post_init__(self) -> None:
        expect(0 <= self.copies < math.inf, "copies", "a number of at least 0", self.copies)
        for name in ("copy_consistency", "quarter_consistency"):  # far below the limits of single precision
            expect(0 <= getattr(self, name) <= 1e6, name, "from 0 to 1e6", getattr(self, name))
        for name in ("copy_consistency", "quarter_consistency"):
            given = getattr(self, name)
            expect(not given or self.loss == "squared", name, "0 where the loss is logistic", given)
        expect(
            not self.copy_consistency or self.copies > 0,
            "copy_consistency",
            "0 without probe.copies",
            self.copy_consistency,
        )
        above = bool(self.strengths) and min(self.strengths) > 0 and max(self.strengths) < math.inf
        expect(above, "strengths", "numbers above 0", self.strengths)
