"""Real images from a dependency: scikit-image's subset of Labeled Faces in the Wild, for the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.support import files


def write_lfw_subset(folder: Path) -> Path:
    """Write 100 faces and 100 non-faces, grey, 25 x 25, as ``face/`` and ``not-face/`` PNG files; returns ``folder``.

    The non-faces are crops of the same photographs' backgrounds (Huang et al. 2007, the *LFW* report 07-49).
    """
    from skimage.data import lfw_subset

    grey: NDArray[np.float64] = lfw_subset()  # type: ignore[no-untyped-call]  # (200, 25, 25) in [0, 1]
    pixels = np.round(grey * 255).astype(np.uint8)
    with files.replacing_folder(folder) as partial:
        for label, rows in (("face", pixels[:100]), ("not-face", pixels[100:])):
            (partial / label).mkdir()
            for i, row in enumerate(rows):
                Image.fromarray(row).save(partial / label / f"{label}-{i:03}.png")
    return folder
