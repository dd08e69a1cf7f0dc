"""Occlusion: how far the logit falls when a window of the image is blurred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor, nn

from facevalue.explanations.base import Explanation
from facevalue.explanations.faithfulness import blur_of
from facevalue.models.classifier import Classifier


@final
@dataclass(frozen=True)
class Occlusion(Explanation):
    """Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901), computed by captum. It explains every network.

    A window of two by two cells slides by one cell; a cell's heat is the mean fall over the windows that cover it. The
    window is blurred instead of painted grey, because a grey square is something that the network has never seen.

    Attributes
    ----------
    cells : per side of the image. The network answers ``(cells - 1) ** 2 + 1`` times for each image.
    """

    name: ClassVar[str] = "occlusion"
    paper: ClassVar[str] = "Zeiler & Fergus 2014, arXiv:1311.2901"
    cells: int = 8

    def refusal(self, classifier: Classifier) -> str | None:
        return None

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, cells, cells) mean fall of the class's logit."""
        from captum.attr import Occlusion as CaptumOcclusion

        x = x.detach()
        cell = -(-x.shape[-1] // self.cells)
        falls = CaptumOcclusion(classifier).attribute(
            x,
            sliding_window_shapes=(3, 2 * cell, 2 * cell),
            strides=(3, cell, cell),
            baselines=blur_of(x),
            target=target,
            perturbations_per_eval=max(1, classifier.body.batch // len(x)),
        )
        pooled: Tensor = nn.functional.adaptive_avg_pool2d(falls[:, :1].float(), self.cells)
        return pooled.squeeze(1)
