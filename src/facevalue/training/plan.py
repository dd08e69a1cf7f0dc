"""Training plans: number of epochs, learning rates and the weights to keep, by validation or by an earlier run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.models.features import to_tensor
from facevalue.models.networks.base import normalise
from facevalue.training import schedule
from facevalue.training.adversarial import Adversary, Batches, collapsed, robust_validation
from facevalue.training.early_stopping import kept_epoch, stopped
from facevalue.training.recipe import Recipe
from facevalue.training.settings import FitSettings

History = Sequence[Mapping[str, Any]]
"""One line per epoch."""

LookedAt = Callable[[int, str], None]


class Plan(Protocol):
    """The decisions that the training loop needs."""

    @property
    def title(self) -> str:
        """The name of the work in progress displays."""
        ...

    @property
    def epochs(self) -> int:
        """The number of planned epochs."""
        ...

    def ended(self, history: History) -> bool:
        """Whether to stop before all planned epochs are done."""
        ...

    def factor(self, history: History, first: float) -> float:
        """The factor of the next epoch's learning rates; ``first`` is the initial rate."""
        ...

    @property
    def watched(self) -> Mapping[str, int]:
        """Number of held-out images that each epoch looks at, by kind of look; for progress displays."""
        ...

    @property
    def held_out_images(self) -> ImageDataset | None:
        """The images that each epoch looks at, in their order; ``None`` if nothing is held out."""
        ...

    def held_out(
        self, model: nn.Module, adversary: Adversary, history: History, seed: int, looked_at: LookedAt
    ) -> dict[str, Any]:
        """Figures on held-out images for an epoch's history line; empty if nothing is held out.

        Parameters
        ----------
        model : the body, on its device.
        adversary : that of the epoch; it holds the classifier that is trained.
        looked_at : called after each batch with its number of images and the kind of look, as in :attr:`watched`.
        """
        ...

    def keeps(self, history: History) -> bool:
        """Whether the weights of the last epoch are the best so far."""
        ...


@dataclass(frozen=True)
class ValidationPlan:
    """A training run that is controlled by the validation split.

    Attributes
    ----------
    softening : divisor of the logits for the validation loss.
    """

    recipe: Recipe
    validation: ImageDataset
    softening: float = 1.0
    title: str = "training"

    @property
    def epochs(self) -> int:
        return self.recipe.fit.epochs

    def ended(self, history: History) -> bool:
        return stopped(history, self.recipe.fit)

    def factor(self, history: History, first: float) -> float:
        losses = [line["validation_loss"] for line in history]
        return schedule.factor(self.recipe.schedule, len(history), self.epochs, losses)

    @property
    def watched(self) -> Mapping[str, int]:
        kinds = ["validation"] if self.recipe.adversarial.method == "none" else ["validation", "attacked validation"]
        return dict.fromkeys(kinds, len(self.validation))

    @property
    def held_out_images(self) -> ImageDataset | None:
        return self.validation

    def held_out(
        self, model: nn.Module, adversary: Adversary, history: History, seed: int, looked_at: LookedAt
    ) -> dict[str, Any]:
        classifier = adversary.classifier
        plain = self._batches(looked_at, "validation")
        figures: dict[str, Any] = validate(model, plain, classifier.mean, classifier.std, self.softening)
        if not math.isfinite(figures["validation_loss"]):  # the last step of an epoch may diverge
            raise FaceValueError(
                f"the validation loss became {figures['validation_loss']:g} in epoch {len(history) + 1}; "
                "try a lower `lr`"
            )
        if adversary.method == "none":
            return figures
        settings = self.recipe.adversarial
        robust = robust_validation(classifier, self._batches(looked_at, "attacked validation"), settings, seed)
        accuracy = robust["validation_robust_accuracy"]
        return {
            **figures,
            **adversary.figures(),
            **robust,
            "adversarial": adversary.method,
            "collapsed": collapsed(adversary.method, history, accuracy, settings.ramp_epochs),
        }

    def keeps(self, history: History) -> bool:
        return kept_epoch(history, self.recipe.fit) == len(history) - 1

    def _batches(self, looked_at: LookedAt, kind: str) -> Batches:
        for pixels, labels in self.validation.batches(self.recipe.fit.batch_size):
            yield pixels, labels
            looked_at(len(labels), kind)


@dataclass(frozen=True)
class RefitPlan:
    """A second training on more images, without held-out images, that repeats the schedule of a finished one.

    It runs as many epochs as the first run kept, at the same learning rates (Goodfellow, Bengio & Courville 2016, *Deep
    Learning*, algorithm 7.2).
    """

    finished: History
    settings: FitSettings
    title: str = "training again on all splits except test"

    @property
    def epochs(self) -> int:
        return kept_epoch(self.finished, self.settings) + 1

    def ended(self, history: History) -> bool:
        return False

    def factor(self, history: History, first: float) -> float:
        return float(self.finished[len(history)]["lr"]) / first

    @property
    def watched(self) -> Mapping[str, int]:
        return {}

    @property
    def held_out_images(self) -> ImageDataset | None:
        return None

    def held_out(
        self, model: nn.Module, adversary: Adversary, history: History, seed: int, looked_at: LookedAt
    ) -> dict[str, Any]:
        return {}

    def keeps(self, history: History) -> bool:
        return True


def validate(model: nn.Module, batches: Batches, mean: Tensor, std: Tensor, softening: float = 1.0) -> dict[str, float]:
    """Loss and accuracy on a split in eval mode; for the loss, logits are divided by ``softening``."""
    model.eval()
    loss, right, n = 0.0, 0, 0
    with torch.inference_mode():
        for pixels, labels in batches:
            x, y = to_tensor(pixels, mean.device), torch.from_numpy(labels).to(mean.device)
            logits = model(normalise(x, mean, std)).float() / softening
            loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
            right += int((logits.argmax(1) == y).sum())
            n += len(labels)
    return {"validation_loss": loss / n, "validation_accuracy": right / n}
