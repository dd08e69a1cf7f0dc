"""Learning from a model's probabilities instead of from labels.

``knowledge``: Hinton, Vinyals & Dean 2015, arXiv:1503.02531. Teacher and student are both softened by the temperature,
so that a smaller network learns which wrong answers were near.

``defensive``: Papernot et al. 2016, arXiv:1511.04508. Only the student is softened while it learns the teacher's
probabilities; used at temperature 1 its logits are that much larger, its softmax is saturated, and the gradient of what
it says vanishes. That stops attacks that climb the probabilities and no others (Carlini & Wagner 2017,
arXiv:1608.04644); ``facevalue attack`` shows both figures.
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
    """The recipe with what depends on the teacher filled in: the form, and the SHA-256 of its weights.

    Raises
    ------
    ModelFolderError
        The teacher is no model folder.
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
    """Whether the student is the teacher's own network, whatever their network inputs."""
    if card.network.name != recipe.network.name:
        return False
    own = find(recipe.network.name).options
    # As JSON: what came from a file has lists where what stands in the code has tuples.
    teacher, student = (
        json.dumps({**own, **given}, sort_keys=True) for given in (card.network.options, recipe.network.options)
    )
    return teacher == student


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that is learned from.

    Attributes
    ----------
    classifier : in eval mode; it may have a network input of another size.
    columns : (k,) where each of the student's classes stands in the teacher's logits.
    """

    classifier: Classifier
    columns: Tensor
    settings: DistillSettings

    @property
    def softening(self) -> float:
        """What the student's logits are divided by for its plain loss: by so much it is surer than it should be."""
        return self.settings.temperature if self.settings.form == "defensive" else 1.0

    def to(self, device: torch.device) -> Teacher:
        """The same on another device."""
        return Teacher(self.classifier.to(device), self.columns.to(device), self.settings)

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) calibrated logits of the student's images (n, 3, s, s), in the student's order of classes."""
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
        labels_loss : of the labels, for their share.
        """
        t, weight = self.settings.temperature, self.settings.weight
        target = (taught if self.settings.form == "defensive" else taught / t).softmax(1)
        # Times t squared, as Hinton has it: the gradient's size does not depend on the temperature.
        soft = t * t * functional.cross_entropy(logits / t, target)
        return weight * soft + (1 - weight) * labels_loss


def open_teacher(settings: DistillSettings, classes: tuple[str, ...]) -> Teacher | None:
    """The recipe's teacher; ``None`` where there is none.

    Raises
    ------
    DataError
        It knows other classes; the message names both lists.
    """
    if not settings.teacher:
        return None
    classifier = load(settings.teacher)
    known = classifier.card.classes
    if set(known) != set(classes):
        raise DataError(
            f"the classes do not match: the teacher {settings.teacher} knows {', '.join(known)}; "
            f"the images are of {', '.join(classes)}"
        )
    return Teacher(classifier.requires_grad_(False), torch.tensor([known.index(c) for c in classes]), settings)
