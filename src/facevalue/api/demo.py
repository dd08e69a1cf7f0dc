"""``demo``: train, attack and explain on embedded images."""

from __future__ import annotations

import shutil
from pathlib import Path

from facevalue.api.attack import attack
from facevalue.api.common.documents import write_documents
from facevalue.api.explain import explain
from facevalue.api.train import train
from facevalue.data.embedded import write_lfw_subset
from facevalue.errors import UsageError
from facevalue.evidence.provenance import recorded
from facevalue.models.classifier import Classifier, load
from facevalue.training.recipe import Setting

_SETTINGS: dict[str, Setting] = {
    "network.options": {"widths": [16, 32, 64]},
    "fit.patience": 0,
    "optimizer.lr": 3e-3,
}


@recorded
def demo(output: Path | str = "facevalue-demo") -> Classifier:
    """Train, evaluate, attack and explain on 200 real images from scikit-image, in under a minute.

    ``output`` gets ``images/``, ``model/`` with its report, ``explain/`` and the attack's plots.

    Raises
    ------
    UsageError
        ``output`` exists and is not an earlier demo.
    """
    output = Path(output)
    if output.exists() and any(output.iterdir()) and not (output / "images" / "not-face").is_dir():
        raise UsageError(f"{output} exists and is not an earlier demo; choose another `output`")
    source = write_lfw_subset(output / "images")
    folder = output / "model"
    model = train(source, folder, recipe="scratch", overwrite=True, size=32, epochs=12, settings=_SETTINGS)
    attack(folder, source, plot=output / "accuracy-against-eps.png", sheet=output / "attack.png")
    assert model.origin is not None
    test = model.origin.manifest.rows("test")
    shown = [*test[test["label"] == "face"]["path"][:2], *test[test["label"] == "not-face"]["path"][:2]]
    explained = explain(model, shown, output / "explain")
    (folder / "images").mkdir()
    for file in explained.files:
        shutil.copyfile(file, folder / "images" / file.name)  # the report shows the images in this folder
    write_documents(folder)
    return load(folder)
