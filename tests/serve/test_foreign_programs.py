"""Programs that others wrote, each in an environment of its own, against a running server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from facevalue.runtime import open_folder

from .conftest import serving
from .environments import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRITON = """
import json, sys
import numpy as np
import tritonclient.http as triton

url, version, pixels_file, *files = sys.argv[1:]
client = triton.InferenceServerClient(url)
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("model") and client.is_model_ready("model", version)
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
about = client.get_model_metadata("model")
assert about == client.get_model_metadata("model", version)
found = {}

data = np.array([open(f, "rb").read() for f in files], dtype=object)
images = triton.InferInput("images", [len(data)], "BYTES")
images.set_data_from_numpy(data)
pixels = np.load(pixels_file)
inputs = triton.InferInput("pixels", list(pixels.shape), "UINT8")

for name, tensor in (("images", images), ("pixels", inputs), ("json", inputs)):
    if tensor is inputs:
        inputs.set_data_from_numpy(pixels, binary_data=name != "json")
    for asked in (None, True, False):
        outputs = asked if asked is None else [
            triton.InferRequestedOutput(o, binary_data=asked) for o in ("probabilities", "label", "heat")
        ]
        answer = client.infer("model", [tensor], outputs=outputs, model_version=version, request_id="7")
        assert answer.get_response()["id"] == "7"
        found[f"{name} {asked}"] = {
            "probabilities": answer.as_numpy("probabilities").tolist(),
            "label": [str(x.decode() if isinstance(x, bytes) else x) for x in answer.as_numpy("label")],
            "heat": None if asked is None else list(answer.as_numpy("heat").shape),
        }
pending = [client.async_infer("model", [images]) for _ in range(8)]
assert all(p.get_result().as_numpy("probabilities").shape[0] == len(data) for p in pending)
for wrong in ("other", "model"):
    try:
        client.infer(wrong, [inputs] if wrong == "other" else [triton.InferInput("x", [1], "FP32")])
        raise SystemExit("no error was raised")
    except triton.InferenceServerException as error:
        found[f"error {wrong}"] = str(error)
print(json.dumps(found))
"""


def test_triton_s_client(folder: Path, lfw: Path, tmp_path: Path) -> None:
    """Metadata, readiness, files and pixels, in binary and JSON, several at a time, and errors as errors."""
    import numpy as np

    programs = environment(tmp_path / "triton", "tritonclient[http]==2.73.0")
    paths = sorted(lfw.rglob("*.png"))[98:102]
    predictor = open_folder(folder)
    np.save(tmp_path / "pixels.npy", np.stack([predictor.pixels_of(path.read_bytes()) for path in paths]))
    expected = list(predictor.predict(paths))
    with serving(folder) as client:
        version = client.get("/v2/models/model").json()["versions"][0]
        done = subprocess.run(
            [
                *(programs / "python", "-c", TRITON, f"{client.base_url.host}:{client.base_url.port}", version),
                *(tmp_path / "pixels.npy", *paths),
            ],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "there is no model of this name" in found.pop("error other")
    assert "x has no data" in found.pop("error model")
    assert len(found) == 9
    for name, answer in found.items():
        assert answer["label"] == [prediction.label or "" for prediction in expected], name
        for row, prediction in zip(answer["probabilities"], expected, strict=True):
            assert row == pytest.approx(list(prediction.probabilities.values()), abs=1e-5), name
        assert (answer["heat"] is None) == name.endswith("None")
        assert answer["heat"] is None or answer["heat"][0] == len(paths)


@pytest.mark.parametrize("phase", ["examples,coverage", "fuzzing,stateful"])
def test_schemathesis_finds_nothing(phase: str, folder: Path, another: Path, tmp_path: Path) -> None:
    """Requests made from the OpenAPI document: no 5xx, and every status, type and body as documented."""
    programs = environment(tmp_path / "schemathesis", "schemathesis==4.32.5")
    with serving(folder, another) as client:
        done = subprocess.run(
            [
                *(programs / "schemathesis", "run", f"{client.base_url}/openapi.json".replace("//openapi", "/openapi")),
                *("--checks", "all", "--phases", phase, "--max-examples", "40", "--seed", "1", "--no-color"),
                *("--request-timeout", "20", "--exclude-checks", "positive_data_acceptance,ignored_auth"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=600,
        )
        assert httpx.get(client.base_url.join("/v2/health/live")).status_code == 200
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
