"""Vector scaling: each logit times its own factor plus its own offset."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from facevalue.models.calibration.base import CalibrationMethod, Floats, Ints, Parameters, shifted


@final
class VectorScaling(CalibrationMethod):
    """The softmax of ``scale * z + offset``, with a scale and an offset for each class."""

    name: ClassVar[str] = "vector"
    paper: ClassVar[str] = "Guo et al. 2017, arXiv:1706.04599"

    def fit(self, z: Floats, labels: Ints, weights: Floats) -> Parameters:
        """L-BFGS. A normal prior around the identity, which weighs as one image, keeps the parameters finite."""
        scores, truth, weight = torch.from_numpy(z), torch.from_numpy(labels), torch.from_numpy(weights)
        change = torch.zeros(2, z.shape[1], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [change], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            scaled = scores * (1 + change[0]) + change[1]
            fit = torch.nn.functional.cross_entropy(scaled, truth, reduction="none") @ weight
            loss = (fit + 0.5 * change.square().sum()) / weight.sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]
        scale, offset = np.array([[1.0], [0.0]]) + change.detach().numpy()
        return {"scale": tuple(scale.tolist()), "offset": tuple(offset.tolist())}

    def log_probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        return torch.log_softmax(self._scaled(z, parameters), dim=1)

    def probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        return torch.softmax(self._scaled(z, parameters), dim=1)

    def levels(self, z: Tensor, parameters: Parameters, positive: int | None, threshold: float) -> Tensor:
        return shifted(self._scaled(z, parameters), positive, threshold)

    @staticmethod
    def _scaled(z: Tensor, parameters: Parameters) -> Tensor:
        scale, offset = (torch.tensor(parameters[name], dtype=z.dtype, device=z.device) for name in ("scale", "offset"))
        return z * scale + offset
