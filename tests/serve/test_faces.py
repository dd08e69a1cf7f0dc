"""Models of faces over HTTP."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from facevalue.errors import UsageError
from facevalue.runtime import open_folder
from facevalue.serve import Settings
from facevalue.serve.heat_image import heat_png

from ..faces.drawn import drawn, write_face_model
from .conftest import serving

INFER = "/v2/models/faces/infer"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "faces"
    write_face_model(folder)
    return folder


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    """One face, none, two, no image."""
    found = []
    for i, dots in enumerate(([(80, 60)], [], [(40, 60), (120, 60)])):
        buffer = io.BytesIO()
        drawn(*dots, seed=i).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return [*found, b"no image"]


@pytest.fixture(scope="module")
def client(faces: Path, folder: Path) -> Iterator[httpx.Client]:
    with serving(faces, folder) as client:
        yield client


def posted(client: httpx.Client, path: str, files: list[bytes]) -> httpx.Response:
    return client.post(path, files=[("files", (f"{i}.png", data)) for i, data in enumerate(files)])


@pytest.mark.parametrize("which", ["largest", "all"])
def test_rows_are_the_predictor_s(client: httpx.Client, faces: Path, files: list[bytes], which: str) -> None:
    rows = posted(client, f"/predict?faces={which}", files).json()["results"]
    expected = open_folder(faces).predict(files, faces=which)  # type: ignore[arg-type]
    assert len(rows) == {"largest": 4, "all": 5}[which]
    for row, prediction in zip(rows, expected, strict=True):
        plain = json.loads(json.dumps(prediction.to_dict()))
        probabilities = plain.pop("probabilities")
        assert {key: row[key] for key in plain if key not in ("path", "novelty")} == {
            key: value for key, value in plain.items() if key not in ("path", "novelty")
        }
        assert row["probabilities"] == pytest.approx(probabilities, abs=1e-5)
    assert [row["path"] for row in rows][:3] == ["0.png", "1.png", "2.png"]


def test_many_faces_and_many_images_stay_apart(client: httpx.Client, files: list[bytes]) -> None:
    many = [files[i % 3] for i in range(24)]
    rows = posted(client, "/predict?faces=all", many).json()["results"]
    assert [row["faces"] for row in rows] == [1, 0, 2, 2] * 8
    assert all(row["probabilities"] == rows[i % 4]["probabilities"] for i, row in enumerate(rows))


def test_no_face_is_an_answer_and_is_counted(client: httpx.Client, files: list[bytes]) -> None:
    response = posted(client, "/predict", files[1:2])
    assert response.status_code == 200
    (row,) = response.json()["results"]
    assert (row["label"], row["reasons"], row["probabilities"]) == (None, ["no_face"], {})
    assert 'facevalue_abstentions_total{model="faces",reason="no_face"}' in client.get("/metrics").text


def test_all_faces_need_a_model_of_faces(client: httpx.Client, files: list[bytes]) -> None:
    refused = posted(client, "/models/model/predict?faces=all", files[:1])
    assert refused.status_code == 422
    assert "takes whole images" in refused.json()["error"]
    assert posted(client, "/predict?faces=some", files[:1]).status_code == 422


def test_heat_is_of_the_crop(client: httpx.Client, faces: Path, files: list[bytes]) -> None:
    response = posted(client, "/explain?view=overlay", files[:1])
    assert response.headers["X-Face-Box"] == "60 28 48 64"
    predictor = open_folder(faces)
    (prediction,) = predictor.predict(files[0], heat=True)
    assert prediction.heat is not None
    expected = Image.open(io.BytesIO(heat_png(predictor.pixels_of(files[0]), prediction.heat, "overlay")))
    got = np.asarray(Image.open(io.BytesIO(response.content)), int)
    assert np.abs(got - np.asarray(expected, int)).max() <= 1
    refused = posted(client, "/explain", files[1:2])
    assert refused.status_code == 422
    assert refused.json()["error"] == "there is nothing to explain: no face was found"


def test_the_inference_protocol_says_no_face_with_nan(client: httpx.Client, faces: Path, files: list[bytes]) -> None:
    data = [base64.b64encode(one).decode() for one in files[:3]]
    names = ["probabilities", "logits", "novelty", "heat", "label", "reasons"]
    body = {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [3], "data": data}]}
    answer = client.post(INFER, json={**body, "outputs": [{"name": name} for name in names]}).json()
    found = {
        output["name"]: np.reshape(np.array(output["data"], object), output["shape"]) for output in answer["outputs"]
    }
    assert found["reasons"].tolist() == ["", "no_face", "gate_unsure"]
    assert found["label"][1] == ""
    for name in names[:4]:
        assert set(np.ravel(found[name][1])) == {None}
        assert None not in set(np.ravel(found[name][[0, 2]]))
    one = open_folder(faces).predict(files[0])[0]
    assert found["probabilities"][0].astype(float) == pytest.approx(list(one.probabilities.values()), abs=1e-5)
    # All without a face: there is no other row to take the shapes from.
    body["inputs"][0] |= {"shape": [1], "data": data[1:2]}
    answer = client.post(INFER, json={**body, "outputs": [{"name": name} for name in names]}).json()
    assert {output["name"]: output["shape"] for output in answer["outputs"]} == {
        "probabilities": [1, 2],
        "logits": [1, 2],
        "novelty": [1],
        "heat": [1, 1, 1],
        "label": [1],
        "reasons": [1],
    }


def test_pixels_are_crops_already(client: httpx.Client, faces: Path, files: list[bytes]) -> None:
    pixels = open_folder(faces).pixels_of(files[0])
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, *pixels.shape], "data": pixels.ravel().tolist()}
    outputs = client.post(INFER, json={"inputs": [tensor]}).json()["outputs"]
    data = {output["name"]: output["data"] for output in outputs}
    assert data["probabilities"] == pytest.approx(
        list(open_folder(faces).predict(files[0])[0].probabilities.values()), abs=1e-5
    )
    assert data["reasons"] == [""]


def test_the_card_tells_of_the_gate(client: httpx.Client) -> None:
    card = client.get("/card").json()
    assert card["gate"]["detector"] == "drawn"
    assert card["preprocessing"]["face_margin"] == 0.3


def test_the_gate_can_be_switched_off_for_a_server(faces: Path, files: list[bytes]) -> None:
    with serving(faces, gate="none") as client:
        (row,) = posted(client, "/predict", files[1:2]).json()["results"]
        assert row["label"] is not None
        assert row["faces"] is None
    with pytest.raises(UsageError, match="Expected gate to be face or none"):
        Settings(gate="eyes")  # type: ignore[arg-type]
