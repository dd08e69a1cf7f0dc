"""Attention rollout: which image tokens the attention of a vision transformer leads to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier


@final
class AttentionRollout(Explanation):
    """Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928), for vision transformers.

    The attention of all heads is averaged, half of it replaced by the identity for the residual connection, and
    multiplied over the layers. It says where the network looks, whatever the class: the map is the same for each.
    """

    name: ClassVar[str] = "attention-rollout"
    paper: ClassVar[str] = "Abnar & Zuidema 2020, arXiv:2005.00928"

    def refusal(self, classifier: Classifier) -> str | None:
        if classifier.body.tokens is not None:
            return None
        return (
            f"attention-rollout needs a vision transformer with a known grid of tokens, and "
            f"{classifier.card.network.name} is none; choose another `method`, such as gradcam"
        )

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, h, w) attention in the size of the grid of tokens, less its minimum."""
        tokens = classifier.body.tokens
        assert tokens is not None  # see refusal
        with torch.no_grad(), _Recorder(tokens.prefix + math.prod(tokens.grid)) as recorder:
            classifier.logits(x)
        if not recorder.attention:
            raise RuntimeError(f"no attention was seen in {classifier.card.network.name}")
        flow = rollout(recorder.attention)
        to_image = flow[:, :, tokens.prefix :]
        rows = to_image[:, 0] if tokens.class_token else to_image[:, tokens.prefix :].mean(1)
        # Every token gets some attention: without its minimum, a map would be warm all over.
        return (rows - rows.amin(1, keepdim=True)).reshape(len(rows), *tokens.grid)


def rollout(attention: list[Tensor]) -> Tensor:
    """(n, t, t): row i is what token i of the last layer gathers from each token of the first one; rows sum to 1.

    Parameters
    ----------
    attention : for each layer (n, heads, t, t), rows sum to 1.
    """
    t = attention[0].shape[-1]
    eye = torch.eye(t, device=attention[0].device)
    flow = eye.expand(len(attention[0]), t, t)
    for layer in attention:
        flow = (0.5 * layer.float().mean(1) + 0.5 * eye) @ flow
    return flow


class _Recorder(TorchFunctionMode):
    """Records the attention between ``t`` tokens, whether the network computes it in one function or in steps."""

    def __init__(self, t: int) -> None:
        super().__init__()
        self.attention: list[Tensor] = []
        self._shape = (t, t)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        output = func(*args, **given)
        kind = getattr(func, "__name__", "")
        if kind == "scaled_dot_product_attention":
            query, key = args[0], args[1]
            scale = given.get("scale")
            scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
            mask = given.get("attn_mask")
            self._keep((scores if mask is None else scores + mask).softmax(-1))
        elif kind == "softmax":
            self._keep(output)
        return output

    def _keep(self, attention: Any) -> None:
        if isinstance(attention, Tensor) and attention.ndim == 4 and attention.shape[-2:] == self._shape:
            self.attention.append(attention.detach())
