"""The whole path on embedded images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from facevalue.api.attack import attack
from facevalue.api.explain import explain
from facevalue.api.train import TrainResult, train
from facevalue.data.embedded import write_lfw_subset
from facevalue.errors import UsageError
from facevalue.evidence.card import MANIFEST, ModelCard
from facevalue.reports.model_page import write_report


def demo(output: Path | str = "facevalue-demo") -> TrainResult:
    """The whole path on 200 real images that scikit-image carries, in under a minute.

    ``output`` gets ``images/``, ``model/`` with its report page, ``explain/`` and the attack's plots.
    """
    output = Path(output)
    if output.exists() and any(output.iterdir()) and not (output / "images" / "not-face").is_dir():
        raise UsageError(f"{output} is there and is not an earlier demo; choose another place with -o")
    source = write_lfw_subset(output / "images")
    model = output / "model"
    made = train(
        source,
        model,
        recipe="scratch",
        overwrite=True,
        command=f"facevalue demo -o {output}",
        size=32,
        epochs=12,
        set={"network.options": {"widths": [16, 32, 64]}, "fit.patience": 0, "optimizer.lr": 3e-3},
    )
    attack(
        model,
        source,
        attacks=["fgsm"],
        plot=output / "accuracy-against-eps.png",
        sheet=output / "attack.png",
        command=f"facevalue attack {model} {source} --attacks fgsm",
    )
    table = pd.read_parquet(model / MANIFEST)
    test = table[table["split"] == "test"]
    shown = [*test[test["label"] == "face"]["path"][:2], *test[test["label"] == "not-face"]["path"][:2]]
    explained = explain(model, shown, output / "explain")
    (model / "images").mkdir()
    for file in map(Path, explained["files"]):
        shutil.copyfile(file, model / "images" / file.name)  # the report shows what lies there
    write_report(model)
    return TrainResult(made.folder, ModelCard.load(model))
