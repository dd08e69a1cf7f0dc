"""Attention rollout against NumPy, with the attention of timm's own unfused path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facevalue.errors import UsageError
from facevalue.explanations import AttentionRollout

from .known_networks import trained_classifier


def attention_of(classifier, x):
    """(layers, n, heads, t, t) from each layer's queries and keys."""
    found = []

    def keep(module, arguments, _output):
        n, t, _ = arguments[0].shape
        q, k, _ = module.qkv(arguments[0]).reshape(n, t, 3, module.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = np.einsum("nhtd,nhsd->nhts", q.numpy(), k.numpy()) * module.scale
        exp = np.exp(scores - scores.max(-1, keepdims=True))
        found.append(exp / exp.sum(-1, keepdims=True))

    hooks = [block.attn.register_forward_hook(keep) for block in classifier.body.model.blocks]
    with torch.no_grad():
        classifier.logits(x)
    for hook in hooks:
        hook.remove()
    return np.stack(found)


@pytest.mark.parametrize("fused", [True, False])
def test_equals_numpys(fused, monkeypatch):
    classifier = trained_classifier("vit_tiny_patch16_224")
    for block in classifier.body.model.blocks:
        monkeypatch.setattr(block.attn, "fused_attn", fused)
    x = torch.rand(2, 3, 32, 32)
    flow = np.eye(17)
    for layer in attention_of(classifier, x):
        mixed = layer.mean(1) + np.eye(17)
        flow = (mixed / mixed.sum(-1, keepdims=True)) @ flow
    rows = flow[:, 0, 1:]
    expected = (rows - rows.min(1, keepdims=True)).reshape(2, 4, 4)
    found = AttentionRollout()(classifier, x)
    np.testing.assert_allclose(found.raw, expected, atol=1e-5)
    assert expected.max() > 0


def test_only_vision_transformers(small_resnet):
    with pytest.raises(UsageError, match=r"attention-rollout needs a vision transformer .*, and small-resnet is none"):
        AttentionRollout()(small_resnet, torch.rand(1, 3, 32, 32))
