"""Open a model folder to predict images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.errors import ImageError, ModelFolderError
from facevalue.evidence.card import ONNX, ModelCard
from facevalue.evidence.findings import Finding, finding, say
from facevalue.faces.gate import FaceGate
from facevalue.runtime.base import BATCH, Answer, ImagePredictor
from facevalue.runtime.gate import GateChoice, gate_of
from facevalue.runtime.hub import local_folder
from facevalue.runtime.openvino_network import network_of
from facevalue.runtime.scoring.engines import EngineChoice, Precision
from facevalue.support import machine
from facevalue.support.onnx_runtime import onnxruntime
from facevalue.types import Prediction

PathLike = str | os.PathLike[str]

Outputs = dict[str, NDArray[np.float32]]
"""The network's outputs by name."""


def open_folder(
    folder: PathLike,
    *,
    max_pixels: int | None = None,
    gate: GateChoice | None = None,
    gate_model: PathLike | None = None,
    stable: int | None = None,
    engine: EngineChoice = "onnxruntime",
    precision: Precision = "fp32",
) -> Predictor:
    """Open a model folder.

    Parameters
    ----------
    folder : as ``train`` writes it, or ``hub:user/name`` for one on the Hugging Face Hub. ``card.json``, ``model.onnx``
        and the face detector are read, and the SHA-256 of the last two is checked.
    max_pixels : images with more pixels are not decoded; :func:`facevalue.images.decoding.pixel_limit` by default.
    gate : ``face`` or ``none`` instead of what the card says. ``none`` gives whole images to a network that was trained
        on faces. With ``face``, a model that was trained on whole images abstains on images without a face.
    gate_model : file of the face detector, where the folder has none.
    stable : make each answer from so many versions of the network input, 2 to 7, and abstain where they disagree; 0
        for one. By default as the card says. An answer takes so many times as long.
    engine : ``onnxruntime``, ``openvino``, or ``auto``: OpenVINO where it is installed. OpenVINO is only used if its
        answers on drawn network inputs are ONNX Runtime's.
    precision : ``fp32``, or ``bf16`` with OpenVINO if the card says that it gives the model's answers on this
        processor.

    Raises
    ------
    ModelFolderError
        The folder or a file in it is missing, changed, damaged, or not readable by this version.
    UsageError
        ``gate`` is something else, there is no face detector, there are not so many versions, or the engine or
        precision is unknown or not certified for this model.
    MissingExtraError
        OpenVINO is asked for and not installed.
    """
    folder = local_folder(folder)
    saved = ModelCard.load(folder)
    card, opened = gate_of(folder, saved.with_inputs(stable), gate, gate_model)
    say(stability_findings(saved, card))
    model = card.checked_file(folder, ONNX)
    return Predictor(card, model, max_pixels=max_pixels, gate=opened, engine=engine, precision=precision)


@final
class Predictor(ImagePredictor):
    """A network in ONNX Runtime or OpenVINO with its card. Needs no torch. Thread-safe.

    Parameters
    ----------
    card : classes, preprocessing, threshold and abstention limits.
    model : the exported network: ``pixels`` uint8 (n, s, s, 3) RGB to ``logits``, ``probabilities``, ``novelty`` and,
        where the network is pooled, ``heat``.
    max_pixels : images with more pixels are not decoded.
    gate : looks for faces; needed if the card has a gate.
    engine, precision : see :func:`open_folder`.

    Attributes
    ----------
    engine : that is used, and its precision: ``onnxruntime fp32``.

    Raises
    ------
    ModelFolderError
        ONNX Runtime cannot run ``model``, or it does not fit this card.
    UsageError
        The engine or precision is unknown, or not certified for this model.
    MissingExtraError
        OpenVINO is asked for and not installed.
    """

    def __init__(
        self,
        card: ModelCard,
        model: Path,
        *,
        max_pixels: int | None = None,
        gate: FaceGate | None = None,
        engine: EngineChoice = "onnxruntime",
        precision: Precision = "fp32",
    ) -> None:
        self.card = card
        self.gate = gate
        self.max_pixels = max_pixels
        # On two threads one image at a time is fastest: its maps stay in the cache, and decoding never waits for a
        # batch (benchmarks/predict_batch.py). More threads share out more images; that is not measured.
        self.images_per_run = max(1, min(BATCH, machine.threads() // 2))
        self._session = _session(model)
        self._outputs = [output.name for output in self._session.get_outputs()]
        side = card.preprocessing.size
        if [[i.name, i.type, i.shape[1:]] for i in self._session.get_inputs()] != [
            ["pixels", "tensor(uint8)", [side, side, 3]]
        ] or not {"logits", "probabilities", "novelty"} <= set(self._outputs):
            raise ModelFolderError(f"{model} is not a network for {side} x {side} images that facevalue exported")
        _check_same_decision(card, self._session.get_modelmeta().custom_metadata_map, model)
        self.engine = "onnxruntime fp32"
        other = network_of(card, model, self._session, engine, precision)
        if other is not None:
            self._session, self.engine = other, other.name

    @property
    def has_heat(self) -> bool:
        """Whether the network returns heat maps: which parts of an image support the prediction."""
        return "heat" in self._outputs

    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        """One run of the network on (n, s, s, 3) uint8 RGB."""
        found = self.outputs(pixels, heat=heat)
        maps = found.get("heat", [None] * len(pixels))
        rows = zip(found["probabilities"], found["novelty"], maps, strict=True)
        return [Answer(p, float(novelty), one) for p, novelty, one in rows]

    def outputs(self, pixels: NDArray[np.uint8], *, heat: bool = False) -> Outputs:
        """``logits``, ``probabilities``, ``novelty``, and ``heat`` where asked for and there: each has a row an image.

        Parameters
        ----------
        pixels : (n, s, s, 3) uint8 RGB, as :meth:`inputs_of` makes them.
        """
        names = ["logits", "probabilities", "novelty"] + (["heat"] if heat and self.has_heat else [])
        return dict(zip(names, self._session.run(names, {"pixels": pixels}), strict=True))

    def predict_pixels(self, pixels: NDArray[np.uint8], *, heat: bool = False) -> tuple[list[Prediction], Outputs]:
        """Predictions on network inputs, for those who decode and make batches themselves.

        Returns
        -------
        The predictions, and :meth:`outputs`, which they were made from. With stable answers, ``probabilities`` are
        those of the answers, and the other outputs are of the input itself.
        """
        found = self.outputs(pixels, heat=heat)
        p: NDArray[np.floating] = found["probabilities"]
        unstable = np.zeros(len(pixels), bool)
        if self.card.inputs > 1:
            answers = self.combined(pixels, p)
            p, unstable = answers.p, answers.unstable
            found["probabilities"] = p.astype(np.float32)
        maps = found.get("heat", [None] * len(pixels))
        rows = zip(p, found["novelty"], maps, unstable, strict=True)
        return [
            decision.prediction_of(self.card, p, float(novelty), one, unstable=bool(disagree))
            for p, novelty, one, disagree in rows
        ], found

    def pixels_of(self, data: bytes) -> NDArray[np.uint8]:
        """The network input (s, s, 3) of an image file's bytes, of the largest face if the model is about faces.

        Raises
        ------
        ImageError
            The file cannot be read, or shows no face.
        """
        (found,) = self.inputs_of((None, data))
        if found.error is not None:
            raise found.error
        if found.pixels is None:
            raise ImageError("shows no face")
        return found.pixels


def stability_findings(saved: ModelCard, used: ModelCard) -> list[Finding]:
    """A warning if a model makes stable answers that its limits were not chosen for."""
    if used.stability is None or used.stability == saved.stability:
        return []
    text = (
        f"answers are made from {used.inputs} network inputs, but the limits were chosen for {saved.inputs}: it is not "
        f"known how many answers flip; choose them with facevalue calibrate MODEL DATA --stable {used.inputs}"
    )
    return [finding("stability-not-calibrated", text, inputs=used.inputs, calibrated=saved.inputs)]


def _check_same_decision(card: ModelCard, facts: Mapping[str, str], model: Path) -> None:
    """Notice a changed card of an earlier version, which has no hash of these values."""
    for name, value in (("threshold", card.threshold), ("temperature", card.temperature)):
        if name in facts and float(facts[name]) != value:
            raise ModelFolderError(
                f"the {name} is {value:g} on the card and {facts[name]} in {model}, so one was changed; restore it. "
                "To set another threshold: facevalue calibrate MODEL DATA -o NEW --threshold T"
            )


def _session(model: Path) -> Any:
    package = onnxruntime()
    options = package.SessionOptions()
    options.intra_op_num_threads = machine.threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are reported below, in one line
    # A waiting thread in a busy loop takes the processor from those that decode the next images, and one that sleeps is
    # woken late for the next layer. 20 microseconds are longer than the gaps between layers: one image alone takes a
    # sixth less time than with sleeping threads, and many take no more processor time. Versions before 1.27 know only
    # all or nothing.
    if tuple(map(int, package.__version__.split(".")[:2])) >= (1, 27):
        options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return package.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but Exception
        text = " ".join(str(error).split())[:200]
        raise ModelFolderError(f"{model} cannot be run: {text}") from error
