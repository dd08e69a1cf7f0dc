"""The classifier: a network and its model card. Every verb takes one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from facevalue import decision
from facevalue.errors import ModelFolderError, UsageError
from facevalue.evidence.card import WEIGHTS, ModelCard
from facevalue.faces.gate import FaceGate
from facevalue.models import calibration, tensors
from facevalue.models.networks import build
from facevalue.models.networks.base import Body, normalise
from facevalue.models.novelty import SCORES, NoveltyScore
from facevalue.models.novelty.mahalanobis import Mahalanobis
from facevalue.models.origin import Origin
from facevalue.models.randomness import own_random_state
from facevalue.runtime.base import Answer, ImagePredictor
from facevalue.runtime.gate import gate_of
from facevalue.support import files


@final
class Classifier(nn.Module, ImagePredictor):
    """A network with its model card: images in; logits, calibrated probabilities and predictions out.

    ``x`` is always (n, 3, s, s) float in [0, 1], RGB, s = ``card.preprocessing.size``. The classifier itself applies
    normalisation, temperature and novelty. Methods that change it return a new classifier.

    Attributes
    ----------
    card : classes, preprocessing, temperature, limits, and the evidence.
    novelty_score : computes :meth:`novelty`; gives nearly 0 until training has fitted one.
    folder : the model folder that it was loaded from or saved to; ``None`` for one in memory.
    gate : looks for faces in :meth:`predict`; ``None`` for a model of whole images.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: Body,
        card: ModelCard,
        novelty_score: NoveltyScore | None = None,
        gate: FaceGate | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        unfitted = Mahalanobis.unfitted(len(card.classes), body.head.in_features)
        self.novelty_score: NoveltyScore = unfitted if novelty_score is None else novelty_score
        self.card = card
        self.gate = gate
        self.folder: Path | None = None
        self._origin: Origin | None = None
        self._evaluated_weights: str | None = None
        self.register_buffer("mean", torch.tensor(card.network.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.network.std).view(1, 3, 1, 1), persistent=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.card.classes

    @property
    def origin(self) -> Origin | None:
        """The images that it was made from and the training history; read from its folder at the first access."""
        if self._origin is None and self.folder is not None:
            self._origin = Origin.load(self.folder, self.card)
        return self._origin

    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        """Answers for network inputs (n, s, s, 3) uint8 RGB, for :meth:`predict`; keeps mode and gradients."""
        x = torch.from_numpy(pixels).to(self.mean.device).permute(0, 3, 1, 2).float() / 255
        with frozen(self), torch.inference_mode():
            maps = self.maps(x)
            features = self.body.embed(maps)
            logits = self.body.head(features)
            probabilities, decided = self.calibrated(logits), self.decide(logits)
            novelty = self.novelty_score(features, logits, decided)
            warm = self.heat(maps, decided) if heat and self.body.pooled else None
        p, far = probabilities.cpu().numpy(), novelty.cpu().numpy()
        heats = [None] * len(p) if warm is None else list(warm.cpu().numpy())
        return [Answer(row, float(distance), one) for row, distance, one in zip(p, far, heats, strict=True)]

    def maps(self, x: Tensor) -> Tensor:
        """(n, c, h, w) activations of the last convolutional layer."""
        return self.body.maps(normalise(x, self.mean, self.std))

    def features(self, x: Tensor) -> Tensor:
        """(n, d) features before the last layer."""
        return self.body.embed(self.maps(x))

    def features_of_quarters(self, x: Tensor) -> Tensor:
        """(n, 5, d): the features of each image, then those of the four quarters of its maps."""
        return self.body.features_of_quarters(normalise(x, self.mean, self.std))

    def logits(self, x: Tensor) -> Tensor:
        """(n, k) logits, before the temperature."""
        logits: Tensor = self.body.head(self.features(x))
        return logits

    def probabilities(self, x: Tensor) -> Tensor:
        """(n, k) calibrated probabilities; rows sum to 1."""
        return self.calibrated(self.logits(x))

    def calibrated(self, logits: Tensor) -> Tensor:
        """(n, k) logits to calibrated probabilities: the temperature, then the card's calibration method."""
        fitted = self.card.calibration
        return calibration.find(fitted.method).probabilities(logits / self.card.temperature, fitted.parameters)

    def levels(self, logits: Tensor) -> Tensor:
        """(n, k) scores of logits (n, k) whose largest is the predicted class, and which are linear in the logits."""
        card, fitted = self.card, self.card.calibration
        method, z = calibration.find(fitted.method), logits / card.temperature
        return card.temperature * method.levels(z, fitted.parameters, card.positive_index, card.threshold)

    def decide(self, logits: Tensor) -> Tensor:
        """(n,) int64 predicted class by the card's rule: the threshold for two classes, else the most probable one."""
        p = self.calibrated(logits).detach().double().cpu().numpy()
        return torch.from_numpy(decision.decide(p, self.card.positive_index, self.card.threshold)).to(logits.device)

    def novelty(self, features: Tensor) -> Tensor:
        """(n,) how unlike the training images (n, d) features are; see :mod:`facevalue.models.novelty`."""
        logits = self.body.head(features)
        scores: Tensor = self.novelty_score(features, logits, self.decide(logits))
        return scores

    def heat(self, maps: Tensor, winner: Tensor) -> Tensor:
        """(n, h, w) positive part of the class activation map (CAM) of class ``winner`` (n,).

        Zhou et al. 2016, arXiv:1512.04150. Only for bodies that are ``pooled``. For these it equals Grad-CAM up to a
        positive factor.
        """
        # A weighted sum against the one-hot winner: gathers with a data-dependent index export less well, and
        # torch's one_hot checks its input in a way that some exporters cannot write.
        classes = torch.arange(self.body.head.out_features, device=winner.device)
        weights = (winner.unsqueeze(1) == classes).to(maps.dtype) @ self.body.head.weight
        return torch.einsum("nc,nchw->nhw", weights, maps).relu()

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) logits, as :meth:`logits`; what gradient libraries call."""
        return self.logits(x)

    def changed(
        self,
        card: ModelCard | None = None,
        novelty_score: NoveltyScore | None = None,
        origin: Origin | None = None,
    ) -> Classifier:
        """A new classifier in memory with another card, novelty score or origin; this one does not change."""
        new = copy.deepcopy(self)
        new.card = card if card is not None else self.card
        new._origin = origin if origin is not None else self.origin
        new.folder = None
        if card is not None:
            new._evaluated_weights = tensors.digest(new.state_dict()) if card.evidence else None
        if novelty_score is not None:
            new.novelty_score = copy.deepcopy(novelty_score).to(self.mean.device)
        return new.train(self.training)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a complete model folder: card, weights, ``model.onnx`` with measured parity, history, manifest, report.

        Parameters
        ----------
        overwrite : replace an existing model folder.

        Raises
        ------
        UsageError
            ``folder`` exists already, or cannot be written.
        FaceValueError
            Another process is writing it.
        ParityError
            The predictions of ``model.onnx`` differ from the classifier's. Nothing is written.
        """
        # Imported here: api.common.model_folder imports exporters and report pages, which import this class.
        from facevalue.api.common.model_folder import claimed, save

        with claimed(folder, overwrite):
            return save(self, Path(folder), overwrite=overwrite)

    def expect_evaluated(self) -> None:
        """Raise ``UsageError`` if the weights were changed after the evaluations on the card."""
        if self._evaluated_weights not in (None, tensors.digest(self.state_dict())):
            raise UsageError(
                "the weights were changed after the evaluations on the card, so these no longer hold; drop them with "
                "classifier.changed(classifier.card.changed(evidence=())) and evaluate again"
            )

    def weights_sha256(self) -> str:
        """SHA-256 of its weights file, or of the weights themselves for a classifier in memory."""
        return self.card.files[WEIGHTS] if self.folder is not None else tensors.digest(self.state_dict())

    def write(self, folder: Path) -> ModelCard:
        """Write ``weights.safetensors`` and ``card.json`` into an existing folder; returns the card as written."""
        path = folder / WEIGHTS
        with files.replacing_file(path) as partial:
            tensors.write(self.state_dict(), partial)
        card = self.card.changed(files={**self.card.files, WEIGHTS: files.sha256(path)})
        card.save(folder)
        return card


@contextmanager
def frozen(classifier: Classifier) -> Iterator[None]:
    """Eval mode and no weight gradients inside the block; restores the state of every module and weight afterwards."""
    modes = [(module, module.training) for module in classifier.modules()]
    flags = [(weight, weight.requires_grad) for weight in classifier.parameters()]
    try:
        classifier.eval().requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, flag in flags:
            weight.requires_grad_(flag)


_SCORE = "novelty_score."
_OLD_NAME = re.compile(r"(^|\.)novelty_(means|basis|scale|rest)$")
"""Names of buffers in weights files from before there were several novelty scores."""


@own_random_state
def load(folder: Path | str) -> Classifier:
    """Open a model folder with torch, in eval mode on the CPU. :func:`facevalue.open` opens it without torch.

    Raises
    ------
    ModelFolderError
        The folder or one of its files is missing, was altered, or does not fit the network.
    """
    folder = Path(folder)
    card = ModelCard.load(folder)
    path = card.checked_file(folder, WEIGHTS)
    body = build(card.network.name, len(card.classes), card.preprocessing.size, card.network.options)
    if card.novelty.score not in SCORES:
        raise ModelFolderError(
            f"{folder} measures novelty with {card.novelty.score!r}, which this version does not know; update facevalue"
        )
    try:
        weights = {_OLD_NAME.sub(rf"\1{_SCORE}\2", name): values for name, values in load_file(path).items()}
        shapes = {n.removeprefix(_SCORE): list(v.shape) for n, v in weights.items() if n.startswith(_SCORE)}
        classifier = Classifier(body, card, SCORES[card.novelty.score].of_shapes(shapes), gate_of(folder, card)[1])
        missing, unexpected = classifier.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise ModelFolderError(
            f"{path} does not fit {card.network.name}: {' '.join(str(error).split())[:300]}"
        ) from error
    if missing or unexpected:
        raise ModelFolderError(f"{path} does not fit {card.network.name}: {[*missing, *unexpected][:5]}")
    classifier.folder = folder
    if card.evidence:
        classifier._evaluated_weights = tensors.digest(classifier.state_dict())
    return classifier.eval()
