"""Several methods side by side, one sheet for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.explanations.base import (
    ExplainedImage,
    Explanation,
    Method,
    Written,
    as_batch,
    faithfulness_of,
    prediction_captions,
)
from facevalue.explanations.overlay import enlarged, labelled, overlay, sheet
from facevalue.models.classifier import Classifier
from facevalue.support import files

_COLUMNS = 4


@final
@dataclass(frozen=True)
class MethodSheet(Method):
    """The network input and the heat of several methods for the predicted class.

    Attributes
    ----------
    methods : at least one.
    """

    name: ClassVar[str] = "side-by-side"
    paper: ClassVar[str] = "see each method"
    methods: tuple[Explanation, ...]

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        return self.methods

    def write(self, classifier: Classifier, images: Sequence[ExplainedImage], folder: Path) -> Written:
        """Write ``NAME-side-by-side.png`` for each image."""
        x = as_batch(classifier, images)
        heats = {method.name: method(classifier, x) for method in self.methods}
        captions = prediction_captions(classifier, x)
        targets = next(iter(heats.values())).target
        paths = []
        for i, image in enumerate(images):
            about = f"the heat for {classifier.card.classes[int(targets[i])]}; each map is scaled by its own maximum"
            if image.doubt is not None:
                about += f"; the face gate is unsure ({image.doubt})"
            panels = panels_of(image.pixels, {name: heat.heat[i] for name, heat in heats.items()})
            path = folder / f"{image.name}-{self.name}.png"
            with files.replacing_file(path) as partial:
                sheet(panels, _COLUMNS, captions[i], about).save(partial, format="PNG")
            paths.append((path,))
        faithful = {name: faithfulness_of(classifier, x, heat) for name, heat in heats.items()}
        return Written(tuple(paths), heats, faithful)


def panels_of(pixels: NDArray[np.uint8], heats: Mapping[str, NDArray[np.float32]]) -> list[Image.Image]:
    """The network input, then one panel for each method.

    Parameters
    ----------
    pixels : (s, s, 3) uint8 RGB network input.
    heats : (s, s) in [0, 1] by method.
    """
    panels = [labelled(enlarged(pixels), "the image", "as the network sees it")]
    for name, heat in heats.items():
        empty = not heat.any()
        panels.append(labelled(enlarged(overlay(pixels, heat)), name, "no region supports the class" if empty else ""))
    return panels
