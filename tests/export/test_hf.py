"""The folder for timm and transformers: calibrated, honest about what it lacks, and opened by both as it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.export.hf import HfExporter
from facevalue.images.parity import one_per_kind
from facevalue.models.classifier import Classifier

from ..serve.environments import environment
from .conftest import Make

SAME = {"pad_type": "same"}


def test_the_temperature_is_in_the_weights(make: Make, tmp_path: Path) -> None:
    classifier = make("resnet18", 64, temperature=2.5)
    HfExporter().write(classifier, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    assert torch.allclose(state["fc.weight"] * 2.5, classifier.body.head.weight, atol=1e-7)
    assert torch.allclose(state["fc.bias"] * 2.5, classifier.body.head.bias, atol=1e-7)
    assert set(state) == {*classifier.body.backbone().state_dict(), "fc.weight", "fc.bias"}


def test_the_page_says_what_other_tools_do_otherwise(make: Make, face_images: ImageDataset, tmp_path: Path) -> None:
    classifier = make("resnet18", 64, threshold=0.7)
    report = HfExporter()(classifier, tmp_path / "hf", face_images, drawn=one_per_kind())
    assert sorted(p.name for p in (tmp_path / "hf").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert report.labels_changed == report.answers_changed == 0
    assert [w.code for w in report.warnings] == ["read-otherwise"]
    text = (tmp_path / "hf" / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["library_name"] == "timm"
    assert about["pipeline_tag"] == "image-classification"
    assert "not 'face' from a probability of 0.7 on" in body
    assert "never abstain" in body
    assert "png alpha" in body
    assert "jpeg EXIF orientation 6" not in body.partition("otherwise, and may answer otherwise")[2].partition("\n")[0]
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["label_names"] == ["face", "not-face"]
    assert config["pretrained_cfg"]["crop_mode"] == "squash"


@pytest.mark.parametrize("name", ["small-cnn", "ensemble", "mobilenetv2_100-texture"])
def test_what_timm_does_not_have_is_refused(name: str, make: Make, face_images: ImageDataset, tmp_path: Path) -> None:
    options = {"small-cnn": None, "ensemble": None, "mobilenetv2_100-texture": SAME}[name]
    with pytest.raises(UsageError, match="holds timm's own networks"):
        HfExporter()(make(name, 64, options=options), tmp_path / "hf", face_images)
    assert not list(tmp_path.iterdir())


def test_a_calibration_that_is_no_temperature_is_refused(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make("resnet18", 64)
    shifted = lambda logits: torch.softmax(logits / 1.7 + torch.tensor([0.3, 0.0]), dim=1)  # noqa: E731
    monkeypatch.setattr(Classifier, "calibrated", lambda _, logits: shifted(logits))
    with pytest.raises(UsageError, match="holds a temperature alone"):
        HfExporter().write(classifier, tmp_path)


FOREIGN = """
import json, sys
import torch
try:
    import torchvision
except RuntimeError:  # its operators are of another build than torch's; nothing here uses them, so their schemas do
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
import numpy as np, timm
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline
folder, images, *files = sys.argv[1:]
x = torch.from_numpy(np.load(images))
model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
auto = AutoModelForImageClassification.from_pretrained(folder).eval()
mean, std = (torch.tensor(model.pretrained_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
with torch.no_grad():
    ours, theirs = model((x - mean) / std), auto((x - mean) / std).logits
classify = pipeline("image-classification", model=folder)
answers = [{one["label"]: one["score"] for one in classify(file)} for file in files]
print(json.dumps({"timm": ours.tolist(), "auto": theirs.tolist(), "pipeline": answers}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_timm_and_transformers_open_it_as_it_is(make: Make, tmp_path: Path) -> None:
    programs = environment(
        tmp_path / "foreign", "torch==2.13.0", "torchvision==0.28.0", "timm==1.0.31", "transformers==5.24.0"
    )
    rng = np.random.default_rng(0)
    files = []
    for number, size in enumerate([(64, 64), (90, 50), (200, 180)]):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(files[-1])
    for name, options in (("mobilenetv2_100", SAME), ("resnet18", None), ("vit_tiny_patch16_224", None)):
        size = 224 if name.startswith("vit") else 64
        classifier = make(name, size, options=options)
        folder = tmp_path / name
        folder.mkdir()
        HfExporter().write(classifier, folder)
        x = torch.rand(4, 3, size, size)
        np.save(tmp_path / "x.npy", x.numpy())
        done = subprocess.run(
            [programs / "python", "-c", FOREIGN, folder, tmp_path / "x.npy", *files], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        with torch.no_grad():
            expected = (classifier.logits(x) / classifier.card.temperature).numpy()
        np.testing.assert_allclose(found["timm"], expected, atol=1e-5)
        np.testing.assert_allclose(found["auto"], expected, atol=1e-5)
        # From files: these are wider than tall, where Pillow's two orders of resizing give the same bytes.
        for file, answer in zip(files, found["pipeline"], strict=True):
            [prediction] = classifier.predict(file)
            assert answer == pytest.approx(dict(prediction.probabilities), abs=1e-4)
