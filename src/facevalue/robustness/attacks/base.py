"""The base class of attacks: ``__call__`` checks, projects and measures; a subclass implements ``run``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier, frozen
from facevalue.robustness.attacks.conv_bn_fusion import fused
from facevalue.robustness.attacks.gradients import input_gradient
from facevalue.robustness.attacks.threat import FLOAT_ERROR, Norm, Threat, per_image
from facevalue.robustness.attacks.victim import Log, Victim
from facevalue.support.formats import titled

__all__ = ["Attack", "AttackResult", "Norm", "Threat", "Victim"]


@dataclass(frozen=True, eq=False)
class AttackResult:
    """The result of an attack, image by image.

    Misclassified clean images count as successes and are not changed. An image is also unchanged if the attack found
    nothing with a lower confidence. With a target class, success means that it is predicted, and images of that class
    are not attacked.

    Attributes
    ----------
    labels : (n,) int64 true classes.
    adversarial : (n, 3, s, s) in [0, 1], in the ball and on the 8-bit grid (where the clean image is on it).
    unrounded : (n, 3, s, s) in [0, 1], in the ball, before rounding.
    clean_decisions, decisions : (n,) int64 predicted classes of the clean image and of ``adversarial``.
    decisions_unrounded : (n,) int64 predicted classes of ``unrounded``.
    success : (n,) bool, whether the attack succeeds with ``adversarial``.
    success_unrounded : (n,) bool, the same for ``unrounded``.
    distances : (n,) float64 distance of ``adversarial`` from the clean image, in the threat's norm.
    queries : (n,) int64 forward passes and gradients that the attack used, without those for checking the result.
    found_by : (n,) for an attack with several parts, the part that succeeded; else empty.
    seconds : duration of the call.
    """

    labels: Tensor
    adversarial: Tensor
    unrounded: Tensor
    clean_decisions: Tensor
    decisions: Tensor
    decisions_unrounded: Tensor
    success: Tensor
    success_unrounded: Tensor
    distances: Tensor
    queries: Tensor
    found_by: tuple[str, ...]
    seconds: float

    @property
    def turned(self) -> Tensor:
        """(n,) bool, classified correctly before the attack, and the attack succeeds."""
        return self.success & (self.clean_decisions == self.labels)

    @property
    def clean_accuracy(self) -> float:
        """Share of images that are classified correctly before the attack."""
        return float((self.clean_decisions == self.labels).double().mean())

    @property
    def robust_accuracy(self) -> float:
        """Share of images that are classified correctly before and after the attack, rounded to 8 bits."""
        return float((self.decisions == self.labels).double().mean())

    @property
    def robust_accuracy_unrounded(self) -> float:
        """Robust accuracy before rounding."""
        return float((self.decisions_unrounded == self.labels).double().mean())


@dataclass(frozen=True)
class Attack(ABC):
    """A search inside a threat's ball for an image that the classifier misclassifies.

    A subclass is a frozen dataclass whose fields are its hyper-parameters, and implements :meth:`run`.

    Attributes
    ----------
    name : its key in :data:`facevalue.robustness.attacks.ATTACKS`.
    paper : the publication that describes it.
    black_box : whether it uses no gradients.
    starts_clean : whether it first needs the gradient of the log odds at the clean images; that gradient is then
        computed together with the clean predictions.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    black_box: ClassVar[bool] = False
    starts_clean: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """Its name in results, with the hyper-parameters that differ from the defaults.

        >>> from facevalue.robustness.attacks.pgd import PGD
        >>> PGD().title, PGD(steps=50).title
        ('pgd', 'pgd(steps=50)')
        """
        return titled(self.name, self)

    @abstractmethod
    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Candidates (n, 3, s, s), one per image of ``x``; the caller projects, rounds and evaluates them.

        Parameters
        ----------
        model : gives logits, counts queries, and knows the true classes and the attacker's goal. In eval mode, its
            parameters without gradients.
        x : (n, 3, s, s) clean images in [0, 1], all classified correctly, n >= 1. Must not be changed.
        threat : its ``eps`` is above 0.
        generator : the only source of randomness, on the CPU.
        """

    @final
    def __call__(
        self,
        classifier: Classifier,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        target: int | None = None,
        seed: int = 0,
        say: Callable[[str], None] = lambda _: None,
    ) -> AttackResult:
        """Attack images. The classifier, its gradients and mode, and ``x`` do not change.

        Parameters
        ----------
        x : (n, 3, s, s) float32 in [0, 1], s the classifier's input size.
        y : (n,) int64 true classes.
        target : class that the attacker wants to be predicted; ``None``: any wrong class.
        say : called with short progress texts.

        Raises
        ------
        UsageError
            The images, labels or target have a wrong shape, type or range.
        """
        _check(classifier, x, y, target)
        started = time.perf_counter()
        device = classifier.mean.device
        with frozen(classifier), torch.inference_mode(False), torch.no_grad():
            # A copy protects the caller's tensor; convolutions are faster with channels last.
            x = x.detach().to(device).clone(memory_format=torch.channels_last)
            y = y.detach().to(device, copy=True)
            log = Log(torch.zeros(len(x), dtype=torch.int64), say=say)
            model = Victim(classifier, y, target, log)
            gradient, logits = self._first_look(classifier, model, x, threat)
            clean_decisions = classifier.decide(logits)
            unrounded = _Judged(classifier, x.clone(), clean_decisions.clone(), model.reached(logits))
            rounded = unrounded
            attacked = ((clean_decisions == y) & (y != target if target is not None else True)).nonzero()[:, 0]
            if threat.eps > 0 and len(attacked):
                model, clean = model.only(attacked), x[attacked]
                floor = model.odds(logits[attacked])
                if gradient is not None:
                    model = model.with_known_gradient(clean, gradient[attacked], logits[attacked])
                # Fused only for the search: the original classifier evaluates the results.
                with fused(classifier, clean[:1]):
                    found = self.run(model, clean, threat, torch.Generator().manual_seed(seed)).detach()
                assert found.shape == clean.shape, f"{self.name} gave {tuple(found.shape)} for {tuple(clean.shape)}"
                found = threat.project(found, clean)
                grid = threat.rounded(found, clean)
                # Most linf results are on the grid up to float error: these need no second evaluation.
                off = (found - grid).abs().amax(dim=(1, 2, 3)) > FLOAT_ERROR
                unrounded.take_better(model, attacked, torch.where(per_image(off), found, grid), floor)
                rounded = unrounded.restored(attacked[off], x, clean_decisions)
                rounded.take_better(model.only(off), attacked[off], grid[off], floor[off])
                lost = unrounded.reached[attacked] & ~rounded.reached[attacked]
                if lost.any():
                    filled = threat.filled(found[lost], clean[lost])
                    rounded.take_better(model.only(lost), attacked[lost], filled, floor[lost])
        return AttackResult(
            labels=y,
            adversarial=rounded.images,
            unrounded=unrounded.images,
            clean_decisions=clean_decisions,
            decisions=rounded.decided,
            decisions_unrounded=unrounded.decided,
            success=rounded.reached,
            success_unrounded=unrounded.reached,
            distances=threat.distance(rounded.images, x),
            queries=log.queries,
            found_by=tuple(log.found_by),
            seconds=time.perf_counter() - started,
        )

    def _first_look(
        self, classifier: Classifier, model: Victim, x: Tensor, threat: Threat
    ) -> tuple[Tensor | None, Tensor]:
        """Logits (n, k) of the clean images, and the gradient (n, 3, s, s) of the log odds if the attack needs it."""
        if not self.starts_clean or threat.eps == 0:
            return None, classifier.logits(x)
        silent = Victim(classifier, model.labels, model.target)  # does not count as a query of the attack
        return input_gradient(silent, x)


@dataclass
class _Judged:
    """The best images so far, their predicted classes, and whether the attack succeeds on them."""

    classifier: Classifier
    images: Tensor
    decided: Tensor
    reached: Tensor

    def restored(self, rows: Tensor, images: Tensor, decided: Tensor) -> _Judged:
        """A copy with the images and predictions at ``rows`` reset to ``images`` and ``decided``."""
        copy = _Judged(self.classifier, self.images.clone(), self.decided.clone(), self.reached.clone())
        copy.images[rows], copy.decided[rows], copy.reached[rows] = images[rows], decided[rows], False
        return copy

    def take_better(self, model: Victim, rows: Tensor, found: Tensor, floor: Tensor) -> None:
        """Store ``found`` at ``rows`` where the attack succeeds, or where its log odds are above ``floor``."""
        if len(rows) == 0:
            return
        logits = self.classifier.logits(found)  # not through the model: does not count as a query of the attack
        reached = model.reached(logits)
        better = reached | (model.odds(logits) > floor)
        self.images[rows[better]] = found[better]
        self.decided[rows[better]] = self.classifier.decide(logits)[better]
        self.reached[rows[better]] = reached[better]


def _check(classifier: Classifier, x: Tensor, y: Tensor, target: int | None) -> None:
    size, k = classifier.card.preprocessing.size, len(classifier.card.classes)
    if x.ndim != 4 or tuple(x.shape[1:]) != (3, size, size) or len(x) == 0:
        raise UsageError(f"Expected images of shape (n, 3, {size}, {size}) with n >= 1, but got {tuple(x.shape)}")
    if x.dtype != torch.float32:
        raise UsageError(f"Expected images of float32 in [0, 1], but got {str(x.dtype).removeprefix('torch.')}")
    if not x.isfinite().all():
        raise UsageError("Expected images in [0, 1], but some pixels are NaN or infinite")
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        raise UsageError(f"Expected images in [0, 1], but got values from {low:g} to {high:g}")
    if y.dtype != torch.int64 or tuple(y.shape) != (len(x),):
        kind = str(y.dtype).removeprefix("torch.")
        raise UsageError(f"Expected labels int64 of shape ({len(x)},), but got {kind} of shape {tuple(y.shape)}")
    if int(y.min()) < 0 or int(y.max()) >= k:
        raise UsageError(f"Expected labels from 0 to {k - 1}, but got from {int(y.min())} to {int(y.max())}")
    if target is not None and not 0 <= target < k:
        raise UsageError(f"Expected the target to be a class from 0 to {k - 1}, but got {target}")
