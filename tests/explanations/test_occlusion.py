"""Occlusion against a loop over the windows."""

from __future__ import annotations

import numpy as np
import torch

from facevalue.explanations import Occlusion
from facevalue.explanations.faithfulness import blur_of

from .known_networks import patches, trained_classifier


def test_equals_a_loop_over_the_windows():
    classifier = trained_classifier("small-resnet")
    x, target, _ = patches(3, seed=5)
    cells, cell = 4, 8
    smooth = blur_of(x)

    def logit(images):
        with torch.no_grad():
            return classifier.logits(images).gather(1, target[:, None])[:, 0]

    before = logit(x)
    total, times = torch.zeros(3, cells, cells), torch.zeros(cells, cells)
    for top in range(cells - 1):
        for left in range(cells - 1):
            hidden = x.clone()
            place = (..., slice(top * cell, (top + 2) * cell), slice(left * cell, (left + 2) * cell))
            hidden[place] = smooth[place]
            total[:, top : top + 2, left : left + 2] += (before - logit(hidden))[:, None, None]
            times[top : top + 2, left : left + 2] += 1
    found = Occlusion(cells=cells)(classifier, x, target)
    np.testing.assert_allclose(found.raw, (total / times).numpy(), atol=1e-4)


def test_a_side_that_the_cells_do_not_divide(make_classifier):
    classifier = make_classifier("small-cnn", 44)
    found = Occlusion(cells=8)(classifier, torch.rand(2, 3, 44, 44))
    assert found.raw.shape == (2, 8, 8)
