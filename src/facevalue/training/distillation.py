"""Distillation: training a student on the probabilities of a teacher instead of on labels.

``knowledge``: Hinton, Vinyals & Dean 2015, arXiv:1503.02531. The temperature softens teacher and student, so that a
smaller network also learns which wrong classes the teacher finds likely.

``defensive``: Papernot et al. 2016, arXiv:1511.04508. The temperature softens only the student during training. Used
at temperature 1 its logits are larger by that factor, its softmax saturates, and the gradient of its probabilities
vanishes. That stops only attacks on the probabilities, not those on the logits (Carlini & Wagner 2017,
arXiv:1608.04644); ``facevalue attack`` reports both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from facevalue.errors import DataError
from facevalue.evidence.card import WEIGHTS, ModelCard
from facevalue.models.classifier import Classifier, load
from facevalue.models.networks import find
from facevalue.training.recipe import Recipe
from facevalue.training.settings import DistillSettings


def resolved(recipe: Recipe) -> Recipe:
    """The recipe with the fields that depend on the teacher: the form, and the SHA-256 of the teacher's weights.

    Raises
    ------
    ModelFolderError
        The teacher is not a model folder.
    """
    settings = recipe.distill
    if not settings.teacher:
        return recipe
    card = ModelCard.load(Path(settings.teacher))
    form = settings.form
    if form == "auto":
        form = "defensive" if _same_network(card, recipe) else "knowledge"
    filled = msgspec.structs.replace(settings, form=form, teacher_sha256=card.files.get(WEIGHTS, ""))
    return msgspec.structs.replace(recipe, distill=filled)


def _same_network(card: ModelCard, recipe: Recipe) -> bool:
    """Whether student and teacher have the same network and options; the input sizes may differ."""
    if card.network.name != recipe.network.name:
        return False
    own = find(recipe.network.name).options
    # Compared as JSON, because options read from a file have lists where the code has tuples.
    teacher, student = (
        json.dumps({**own, **given}, sort_keys=True) for given in (card.network.options, recipe.network.options)
    )
    return teacher == student


@dataclass(frozen=True, eq=False)
class Teacher:
    """The model that a student learns from.

    Attributes
    ----------
    classifier : in eval mode; its network input may have another size.
    columns : (k,) index of each of the student's classes in the teacher's logits.
    """

    classifier: Classifier
    columns: Tensor
    settings: DistillSettings

    @property
    def softening(self) -> float:
        """Divisor of the student's logits for its validation loss: defensive distillation makes them larger by it."""
        return self.settings.temperature if self.settings.form == "defensive" else 1.0

    def to(self, device: torch.device) -> Teacher:
        """This teacher on another device."""
        return Teacher(self.classifier.to(device), self.columns.to(device), self.settings)

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) calibrated logits for the student's images (n, 3, s, s), in the student's class order."""
        side = self.classifier.card.preprocessing.size
        if x.shape[-1] != side:
            x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
        with torch.no_grad():
            calibrated: Tensor = self.classifier.logits(x) / self.classifier.card.temperature
        return calibrated[:, self.columns]

    def loss(self, logits: Tensor, taught: Tensor, labels_loss: Tensor) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        logits : (n, k) of the student.
        taught : (n, k) of the teacher, from :meth:`logits`.
        labels_loss : loss with the labels, weighted by ``1 - weight``.
        """
        t, weight = self.settings.temperature, self.settings.weight
        target = (taught if self.settings.form == "defensive" else taught / t).softmax(1)
        # Times t squared, as in Hinton et al.: then the gradient's size does not depend on the temperature.
        soft = t * t * functional.cross_entropy(logits / t, target)
        return weight * soft + (1 - weight) * labels_loss


def open_teacher(settings: DistillSettings, classes: tuple[str, ...]) -> Teacher | None:
    """The recipe's teacher, or ``None``.

    Raises
    ------
    DataError
        The teacher has other classes; the message lists both.
    """
    if not settings.teacher:
        return None
    classifier = load(settings.teacher)
    known = classifier.card.classes
    if set(known) != set(classes):
        raise DataError(
            f"the classes do not match: the teacher {settings.teacher} has {', '.join(known)}; "
            f"the images have {', '.join(classes)}"
        )
    return Teacher(classifier.requires_grad_(False), torch.tensor([known.index(c) for c in classes]), settings)
