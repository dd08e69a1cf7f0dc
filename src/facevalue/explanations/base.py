"""The base classes of explanation methods: the contract of every member of ``EXPLANATIONS``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue import decision
from facevalue.errors import UsageError
from facevalue.explanations.faithfulness import Faithfulness, deletion
from facevalue.explanations.overlay import FacePlace, side_by_side
from facevalue.models.classifier import Classifier, frozen
from facevalue.models.features import to_tensor
from facevalue.support import files
from facevalue.support.formats import percent


@dataclass(frozen=True)
class ExplainedImage:
    """An image to explain.

    Attributes
    ----------
    path : the file, or a name for an image in memory.
    name : stem of its output files; unique within one call.
    pixels : (s, s, 3) uint8 RGB network input.
    place : where in its image a face is; ``None`` for whole images.
    doubt : why the face gate is unsure, in words.
    """

    path: str
    name: str
    pixels: NDArray[np.uint8]
    place: FacePlace | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class Written:
    """The output of a method for some images.

    Attributes
    ----------
    files : (n,) for each image, its files.
    heats : the heat in the drawings by method; empty for methods without heat.
    faithfulness : of each of them, pooled over the images.
    """

    files: tuple[tuple[Path, ...], ...]
    heats: Mapping[str, Heat] = field(default_factory=dict)
    faithfulness: Mapping[str, Faithfulness] = field(default_factory=dict)


@dataclass(frozen=True)
class Heat:
    """The regions of each image that support a class.

    Attributes
    ----------
    heat : (n, s, s) float32 in [0, 1], in image size. Each map is divided by its own maximum, so strengths cannot be
        compared between images. All zero if no region supports the class.
    raw : (n, h, w) float32 output of the method, in the size of its layer.
    target : (n,) int64, the class explained.
    method : name of the method.
    """

    heat: NDArray[np.float32]
    raw: NDArray[np.float32]
    target: NDArray[np.int64]
    method: str


class Method(ABC):
    """A method that draws images to explain a classifier. Subclasses are :class:`Explanation` or final."""

    name: ClassVar[str]
    """Key in ``EXPLANATIONS`` and value of ``--method``."""
    paper: ClassVar[str]
    """The publication that describes it."""

    @property
    @abstractmethod
    def explanations(self) -> tuple[Explanation, ...]:
        """The methods whose heat it draws; empty if it draws something else."""

    @abstractmethod
    def write(self, classifier: Classifier, images: Sequence[ExplainedImage], folder: Path) -> Written:
        """Write the explanations of ``images`` into ``folder``; each file is written completely or not at all.

        Raises
        ------
        UsageError
            The method does not support this network.
        """


class Explanation(Method, ABC):
    """A method that gives a heat map: how much each region of an image supports a class.

    Implement :meth:`refusal` and :meth:`run`.
    """

    @abstractmethod
    def refusal(self, classifier: Classifier) -> str | None:
        """Why the method cannot explain this classifier, in one line; ``None`` if it can."""

    @abstractmethod
    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, h, w) heat, at any resolution; values below zero count as zero.

        Called in eval mode with gradients enabled and weights frozen; ``x`` requires a gradient.

        Parameters
        ----------
        classifier : the classifier to explain.
        x : (n, 3, s, s) float in [0, 1].
        target : (n,) int64, the class to explain.
        """

    @property
    @final
    def explanations(self) -> tuple[Explanation, ...]:
        return (self,)

    @final
    def __call__(self, classifier: Classifier, x: Tensor, target: Tensor | None = None) -> Heat:
        """Explain images. Weights, gradients and mode of the classifier do not change.

        Parameters
        ----------
        classifier : the classifier to explain.
        x : (n, 3, s, s) float in [0, 1], s the side of the classifier's network input.
        target : (n,) class indices; by default the predicted classes.

        Raises
        ------
        UsageError
            ``x`` or ``target`` is invalid, or the method does not support this network.
        """
        check_images(classifier, x)
        refused = self.refusal(classifier)
        if refused is not None:
            raise UsageError(refused)
        with frozen(classifier):
            if target is None:
                target = classifier.decide(classifier.logits(x))
            check_target(classifier, x, target)
            with torch.enable_grad():
                raw = self.run(classifier, x.detach().clone().requires_grad_(True), target.to(x.device)).detach()
        if raw.ndim != 3 or len(raw) != len(x):
            raise RuntimeError(f"{self.name} gave heat of shape {tuple(raw.shape)} for {len(x)} images")
        resized = nn.functional.interpolate(
            raw.float().clamp_min(0).unsqueeze(1), size=x.shape[2:], mode="bilinear", align_corners=False
        ).squeeze(1)
        top = resized.amax((1, 2), keepdim=True)
        scaled = torch.where(top > 0, resized / top.clamp_min(torch.finfo(torch.float32).tiny), 0.0)
        return Heat(
            heat=scaled.cpu().numpy(),
            raw=raw.float().cpu().numpy(),
            target=target.cpu().numpy().astype(np.int64),
            method=self.name,
        )

    @final
    def write(self, classifier: Classifier, images: Sequence[ExplainedImage], folder: Path) -> Written:
        """Write ``NAME-METHOD.png`` for each image: the network input, beside it with the heat overlaid.

        For a face, the whole image is drawn as well, with the heat on the part that the network sees.
        """
        x = as_batch(classifier, images)
        found = self(classifier, x)
        captions = prediction_captions(classifier, x)
        paths = []
        for image, heat, target, caption in zip(images, found.heat, found.target, captions, strict=True):
            about = f"{self.name} for {classifier.card.classes[int(target)]}"
            if image.doubt is not None:
                about += f"; the face gate is unsure ({image.doubt})"
            sheet = side_by_side(image.pixels, heat, caption, about, image.place)
            path = folder / f"{image.name}-{self.name}.png"
            with files.replacing_file(path) as partial:
                sheet.save(partial, format="PNG")
            paths.append((path,))
        return Written(tuple(paths), {self.name: found}, {self.name: faithfulness_of(classifier, x, found)})


def faithfulness_of(classifier: Classifier, x: Tensor, found: Heat) -> Faithfulness:
    """The fall of the probability when the hottest regions of ``x`` (n, 3, s, s) are blurred."""
    heat, target = torch.from_numpy(found.heat).to(x.device), torch.from_numpy(found.target).to(x.device)
    with frozen(classifier):
        return deletion(classifier, x, heat, target)


def as_batch(classifier: Classifier, images: Sequence[ExplainedImage]) -> Tensor:
    """(n, 3, s, s) float in [0, 1], on the classifier's device."""
    return to_tensor(np.stack([image.pixels for image in images]), classifier.mean.device)


def prediction_captions(classifier: Classifier, x: Tensor) -> list[str]:
    """One line per image: predicted class, probability, and whether the classifier abstains."""
    classes = classifier.card.classes
    with frozen(classifier), torch.no_grad():
        features = classifier.features(x)
        logits = classifier.body.head(features)
        p = classifier.calibrated(logits).double().cpu().numpy()
        novelty = classifier.novelty(features).double().cpu().numpy()
        winners = classifier.decide(logits).cpu().numpy()
    leaning = p[np.arange(len(p)), winners]
    card = classifier.card
    masks = decision.abstentions(card.abstention, leaning, novelty, winners == card.positive_index)
    captions = []
    for row, winner in enumerate(winners):
        lean = f"{classes[winner]}, {percent(float(leaning[row]))}"
        reasons = ", ".join(reason for reason, mask in masks.items() if mask[row])
        captions.append(f"abstains ({reasons}), leaning to {lean}" if reasons else lean)
    return captions


def check_images(classifier: Classifier, x: Tensor) -> None:
    """Raise :class:`UsageError` unless ``x`` has the shape, type and range that the classifier takes."""
    side = classifier.card.preprocessing.size
    if x.ndim != 4 or x.shape[1:] != (3, side, side) or len(x) == 0 or not x.is_floating_point():
        raise UsageError(f"Expected float images (n, 3, {side}, {side}), but got {x.dtype} {tuple(x.shape)}")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):
        raise UsageError(f"Expected images in [0, 1], but got [{low:g}, {high:g}]")


def check_target(classifier: Classifier, x: Tensor, target: Tensor) -> None:
    """Raise :class:`UsageError` unless ``target`` holds one class index per image."""
    k = len(classifier.card.classes)
    if target.shape != (len(x),) or target.is_floating_point() or int(target.min()) < 0 or int(target.max()) >= k:
        raise UsageError(f"Expected target ({len(x)},) with classes 0 to {k - 1}, but got {target.tolist()}")
