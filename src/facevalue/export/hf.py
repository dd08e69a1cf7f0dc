"""A folder that timm and transformers open as it is, calibrated: the form of models on the Hugging Face Hub."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.export.base import Exporter, Pixels, Precision, Runtime
from facevalue.export.hub_card import README, readme
from facevalue.images.parity import one_per_kind
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.networks.timm_body import TimmBody, build_options

WEIGHTS, CONFIG = "model.safetensors", "config.json"

# timm's names of what facevalue calls the fit. Only `squash` gives the same pixels in both; see read-otherwise.
_CROP_MODES = {"squash": "squash", "crop": "center", "pad": "border"}

_SAME = 1e-5  # of a probability, between the card's calibration and a temperature alone


@final
class HfExporter(Exporter):
    """``model.safetensors``, ``config.json`` and ``README.md``.

    The weights are divided by the temperature, so the softmax of every other tool is calibrated. The decision
    threshold, abstention and novelty are not in the folder: other tools give the most probable class.
    """

    name: ClassVar[str] = "hf"
    folder: ClassVar[bool] = True
    mark: ClassVar[str] = CONFIG

    def missing(self, precision: Precision) -> str | None:
        """timm is part of what writes any file."""
        return None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Write the three files.

        Raises
        ------
        UsageError
            The network is not timm's, or its calibration is more than a temperature.
        """
        check_representable(classifier)
        card = classifier.card
        state, config = _state(classifier), _config(classifier)
        save_file({name: value.clone().contiguous() for name, value in state.items()}, path / WEIGHTS, {"format": "pt"})
        (path / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        read = reader(path, card.preprocessing)
        levels = {file.kind: _levels(read, card.preprocessing, file.data) for file in one_per_kind()}
        (path / README).write_text(readme(card, read_otherwise=levels), encoding="utf-8")
        return {"safetensors": version("safetensors")}

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """Open the folder with timm, as its users do."""
        import timm

        model: Any = timm.create_model(f"local-dir:{path.resolve()}", pretrained=True).eval()
        mean, std = (torch.tensor(model.pretrained_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))

        def run(pixels: Pixels) -> dict[str, NDArray[np.floating]]:
            with torch.inference_mode():
                x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
                logits: Tensor = model(x)
                return {"logits": logits.numpy(), "probabilities": torch.softmax(logits, 1).numpy()}

        return Runtime(run, {"timm": version("timm")}, reader(path, card.preprocessing))


def check_representable(classifier: Classifier) -> None:
    """Raise ``UsageError`` if timm and transformers cannot give this model's probabilities."""
    card = classifier.card
    if not isinstance(classifier.body, TimmBody):
        raise UsageError(
            f"the target hf holds timm's own networks, and {card.network.name} is not one of them; "
            "export to onnx instead"
        )
    logits = torch.randn(64, len(card.classes), generator=torch.Generator().manual_seed(0)) * 4
    scaled = torch.softmax(logits / card.temperature, dim=1)
    if not torch.allclose(classifier.calibrated(logits), scaled, atol=_SAME):
        raise UsageError(
            "the target hf holds a temperature alone, and this model's calibration is more than that; "
            "export to onnx instead"
        )


def reader(folder: Path, preprocessing: Preprocessing) -> Callable[[ImageInput], Pixels]:
    """How ``transformers.pipeline`` reads an image for a folder: Pillow, then timm's transforms."""
    data: Any = importlib.import_module("timm.data")
    config = data.resolve_data_config(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["pretrained_cfg"])
    transform = data.create_transform(**config, is_training=False, normalize=False)

    def read(image: ImageInput) -> Pixels:
        if isinstance(image, np.ndarray | Image.Image):  # decoded already
            return preprocessing.of(image)
        source = io.BytesIO(image) if isinstance(image, bytes) else image
        with Image.open(source) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        pixels: Pixels = transform(upright).permute(1, 2, 0).numpy()
        return pixels

    return read


def _levels(read: Callable[[ImageInput], Pixels], preprocessing: Preprocessing, data: bytes) -> int:
    """By how many levels of 255 the network inputs differ at most; 255 if the file cannot be read."""
    own = preprocessing.of(data)
    try:
        return int(np.abs(read(data).astype(np.int16) - own).max())
    except Exception:  # each reader has its own errors
        return 255


def _state(classifier: Classifier) -> dict[str, Tensor]:
    """The weights in timm's names, the last layer divided by the temperature."""
    body = classifier.body
    assert isinstance(body, TimmBody)
    last, temperature = _last_layer(body), classifier.card.temperature
    return {
        **body.model.state_dict(),
        f"{last}.weight": body.head.weight / temperature,
        f"{last}.bias": body.head.bias / temperature,
    }


def _last_layer(body: TimmBody) -> str:
    """timm's name of the last layer.

    Raises
    ------
    UsageError
        It has several, or its parameters have other names than a linear layer's.
    """
    name = body.model.pretrained_cfg.get("classifier")
    if not isinstance(name, str):
        raise UsageError(
            f"the target hf needs a network with one last layer, and it has {name}; export to onnx instead"
        )
    return name


def _config(classifier: Classifier) -> dict[str, Any]:
    card, preprocessing = classifier.card, classifier.card.preprocessing
    body = classifier.body
    assert isinstance(body, TimmBody)
    architecture = card.network.name.partition(".")[0]
    own = body.model.pretrained_cfg
    return {
        "architecture": architecture,
        "num_classes": len(card.classes),
        "num_features": body.head.in_features,
        "label_names": list(card.classes),
        "model_args": build_options(architecture, card.network.options),
        "pretrained_cfg": {
            "input_size": [3, preprocessing.size, preprocessing.size],
            "fixed_input_size": bool(own.get("fixed_input_size", False)),
            "interpolation": preprocessing.filter,
            "crop_pct": preprocessing.crop_fraction if preprocessing.fit == "crop" else 1.0,
            "crop_mode": _CROP_MODES[preprocessing.fit],
            "mean": list(card.network.mean),
            "std": list(card.network.std),
            "num_classes": len(card.classes),
            "classifier": _last_layer(body),
            "first_conv": own.get("first_conv"),
        },
    }
