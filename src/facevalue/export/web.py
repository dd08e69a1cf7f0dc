"""Web export: a folder of static files, with which a browser answers on its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import FaceValueError, ParityError
from facevalue.evidence.card import ModelCard
from facevalue.export.base import Exporter, Pixels, Precision, Runtime
from facevalue.export.litert import LitertExporter
from facevalue.export.onnx import OnnxExporter
from facevalue.export.parity import TOLERANCE
from facevalue.models.classifier import Classifier
from facevalue.models.weight_sharing import sharing_weights
from facevalue.runtime import Predictor
from facevalue.support import progress
from facevalue.web import engine_files
from facevalue.web.canaries import canaries
from facevalue.web.limits import expect_browser
from facevalue.web.site import MODELS, SITE, unpacked_network, write_site

_NETWORKS: dict[engine_files.EngineName, Exporter] = {"litert": LitertExporter(), "onnxruntime": OnnxExporter()}
"""What writes the network of each engine; the page starts with the first that is there."""


@final
class WebExporter(Exporter):
    """A site: the page, the network for LiteRT.js and for ONNX Runtime Web, both engines, and images to check them on.

    Without litert-torch the site has ONNX Runtime Web alone, and says so. Parity is measured on the site's networks in
    Python; the page compares itself with Python, in the visitor's browser, each time it starts.
    """

    name: ClassVar[str] = "web"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    folder: ClassVar[bool] = True
    mark: ClassVar[str] = SITE

    def missing(self, precision: Precision) -> str | None:
        """The engines come with a wheel, or once from npm."""
        return engine_files.missing()

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Write the networks, answer the canaries in Python, and put the site together."""
        expect_browser(classifier.card)
        engines = engine_files.engine_folder()
        with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
            networks: dict[engine_files.EngineName, Path] = {}
            versions: dict[str, str] = {}
            for engine, exporter in _NETWORKS.items():
                missing = exporter.missing(precision)
                if missing is not None:
                    progress.note(f"the site runs on ONNX Runtime Web alone, which is slower: {missing}")
                    continue
                network = Path(folder) / MODELS[engine]
                try:
                    used = exporter.write(sharing_weights(classifier), network, precision)
                    exporter.open(classifier.card, network, precision)
                except FaceValueError as error:
                    if engine == "onnxruntime":
                        raise
                    progress.note(f"the site runs on ONNX Runtime Web alone, which is slower: {error}")
                    continue
                networks[engine] = network
                versions |= used
            predictor = Predictor(classifier.card, networks["onnxruntime"])
            write_site(path, classifier.card, networks, engines, canaries(predictor))
        return {**versions, **engine_files.versions()}

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """The site's networks in Python: the first one answers, and the others must agree with it."""
        with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
            runtimes = []
            for engine, exporter in _NETWORKS.items():
                network = unpacked_network(path, engine)
                if network is not None:
                    (Path(folder) / MODELS[engine]).write_bytes(network)
                    runtimes.append(exporter.open(card, Path(folder) / MODELS[engine], precision))

        def run(pixels: Pixels) -> Mapping[str, NDArray[np.floating]]:
            first, *others = [runtime.run(pixels) for runtime in runtimes]
            for other in others:
                away = float(np.abs(first["probabilities"] - other["probabilities"]).max())
                if not away <= TOLERANCE:
                    raise ParityError(f"the site's networks differ by up to {away:.2g} in a probability")
            return first

        return Runtime(run, {name: v for runtime in runtimes for name, v in runtime.versions.items()})
