"""Several models: their names and versions, and what the server shows of them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from facevalue.errors import ModelFolderError, UsageError
from facevalue.evidence.card import CARD, ONNX, REPORT, Abstention, ModelCard
from facevalue.evidence.findings import Finding
from facevalue.evidence.score_reference import ScoreReference
from facevalue.runtime import Predictor, open_folder
from facevalue.serve import Settings, run
from facevalue.serve.served_model import ServedModel, named_folders, version_of
from facevalue.support import files

from .conftest import serving, until
from .test_predict import post


@pytest.fixture(scope="module")
def face(lfw: Path) -> bytes:
    return (lfw / "face" / "face-000.png").read_bytes()


def test_models_by_name(folder: Path, another: Path, face: bytes) -> None:
    with serving(folder, another) as client:
        names = [model["name"] for model in client.get("/models").json()["models"]]
        assert names == ["model", "another"]
        assert "face" in post(client, ("a.png", face)).json()["results"][0]["probabilities"]
        for name, label in (("model", "face"), ("another", "cat")):
            answer = client.post(f"/models/{name}/predict", files={"files": face}).json()
            assert label in answer["results"][0]["probabilities"]
            assert answer["model"]["name"] == name
            assert label in client.get(f"/models/{name}/card").json()["classes"]
            assert client.get(f"/v2/models/{name}").json()["versions"] == [answer["model"]["version"]]
        for path in ("/models/x/card", "/models/x/drift", "/models/x/report"):
            assert client.get(path).status_code == 404
        response = client.post("/models/x/predict", files={"files": face})
        assert response.status_code == 404
        assert response.json()["error"] == "there is no model of this name; there is model, another"


def test_one_of_two_models_is_missing(folder: Path, another: Path, tmp_path: Path, face: bytes) -> None:
    with serving(folder, tmp_path / "late") as client:
        response = client.get("/v2/health/ready")
        assert response.status_code == 503
        assert response.json()["models"]["model"]["ready"] is True
        assert response.json()["models"]["late"]["ready"] is False
        assert client.get("/v2/models/late/ready").status_code == 503
        assert post(client, ("a.png", face)).status_code == 200
        shutil.copytree(another, tmp_path / "late")
        until(lambda: client.get("/v2/health/ready").status_code == 200)


def test_names() -> None:
    assert named_folders("a/b") == {"b": Path("a/b")}
    assert named_folders([Path("a/b"), "c=a/b"]) == {"b": Path("a/b"), "c": Path("a/b")}
    assert named_folders({"x": "a/b"}) == {"x": Path("a/b")}
    for wrong, reason in (([], "at least one"), (["a/b", "c/b"], "two models"), (["a/ü ü"], "NAME=")):
        with pytest.raises(UsageError, match=reason):
            named_folders(wrong)  # type: ignore[arg-type]


def test_a_folder_with_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run=3" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert named_folders("run=3/model") == {"model": Path("run=3/model")}
    assert named_folders("x=run=3") == {"x": Path("run=3")}


def test_version_follows_answers_and_not_evidence(folder: Path) -> None:
    card = ModelCard.load(folder)
    assert version_of(card.changed(provenance=card.provenance.changed(command="x", seconds=5.0))) == version_of(card)
    for changed in (
        card.changed(threshold=0.7),
        card.changed(abstention=Abstention(confidence=0.9)),
        card.changed(files={ONNX: "0"}),
    ):
        assert version_of(changed) != version_of(card)


def test_identity_in_answers_and_figures(own_folder: Path, another: Path, face: bytes) -> None:
    sha256 = files.sha256(own_folder / ONNX)
    with serving(own_folder) as client:
        first = post(client, ("a.png", face)).json()["model"]
        assert first == {"name": "own", "version": version_of(ModelCard.load(own_folder)), "sha256": sha256}
        line = 'facevalue_model_info{{model="own",sha256="{sha256}",version="{version}"}} 1.0'
        assert line.format(**first) in client.get("/metrics").text
        for name in (ONNX, CARD):
            shutil.copy(another / name, own_folder / name)
        until(lambda: post(client, ("a.png", face)).json()["model"] != first)
        second = post(client, ("a.png", face)).json()["model"]
        text = client.get("/metrics").text
        assert line.format(**second) in text
        assert first["sha256"] not in text


def test_evidence_added_to_the_card_keeps_version_and_drift(own_folder: Path, face: bytes) -> None:
    with serving(own_folder) as client:
        post(client, ("a.png", face))
        before = client.get("/drift").json()
        assert before["images"] == 1
        card = ModelCard.load(own_folder)
        card.changed(provenance=card.provenance.changed(seconds=9.0)).save(own_folder)
        until(lambda: client.get("/card").json()["provenance"]["seconds"] == 9.0)
        assert client.get("/drift").json() == before


def test_scores_added_to_the_card_begin_the_drift_alarm_anew(own_folder: Path, face: bytes) -> None:
    """As calibrate does with a card from before: the answers stay, and what images are compared with does not."""
    with serving(own_folder) as client:
        version = post(client, ("a.png", face)).json()["model"]["version"]
        assert client.get("/drift").json()["reference"] == "stream"
        reference = ScoreReference.of("calibration", np.ones(5), np.zeros((5, 2)))
        ModelCard.load(own_folder).changed(reference=reference).save(own_folder)
        until(lambda: client.get("/drift").json()["reference"] == "calibration")
        assert client.get("/drift").json()["reference_images"] == 5
        assert "facevalue_accuracy_estimate{" not in client.get("/metrics").text
        assert post(client, ("a.png", face)).json()["model"]["version"] == version
        # Images are counted after they are answered.
        until(lambda: "facevalue_accuracy_estimate{" in client.get("/metrics").text)


def test_a_folder_is_opened_again_when_it_became_readable(own_folder: Path) -> None:
    """The right to read a file changes neither its size nor its time of change."""
    may_read = False

    def opened(path: Path) -> Predictor:
        if not may_read:
            raise ModelFolderError(f"{path} holds no readable card")
        return open_folder(path)

    model = ServedModel("own", own_folder, opened)
    assert not model.refresh()
    may_read = True
    assert not model.refresh()
    (own_folder / CARD).chmod(0o640)
    assert model.refresh()


def test_a_card_that_is_wrong_in_an_unknown_way(own_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The model before it goes on serving, and the log has the traceback."""
    fails = False

    def opened(path: Path) -> Predictor:
        if fails:
            raise KeyError("classes")
        return open_folder(path)

    model = ServedModel("own", own_folder, opened)
    assert model.refresh()
    before, fails = model.loaded, True
    (own_folder / CARD).touch()
    assert not model.refresh()
    assert model.loaded is before
    assert model.problem == "model own cannot be opened (KeyError)"
    assert "goes on serving" in caplog.text
    assert "Traceback" in caplog.text


def test_private_parts_of_the_card_are_not_served(own_folder: Path) -> None:
    """Local paths and commands are on the card and in the report, but the server does not send them."""
    card = ModelCard.load(own_folder)
    secret = "/home/ann/secret-project/pictures"
    command = f"facevalue train {secret} -o {secret}-model"
    warning = Finding(
        code="leak-across-splits",
        severity="warning",
        text=f"leaks from {secret}/train",
        values={"path": f"{secret}/train"},
    )
    card = card.changed(
        provenance=card.provenance.changed(command=command, source=secret),
        data=card.data.changed(
            unreadable=({"path": f"{secret}/x.png", "reason": "is truncated"},), warnings=(warning,)
        ),
        recipe={"distill": {"teacher": "../secret-project/teacher"}},
    )
    card.save(own_folder)
    (own_folder / REPORT).write_text(
        f"<html><body>made by <code>{command}</code> from {secret} and {secret}/x.png."
        "<a href='#x'>x</a><img src='data:image/png;base64,aa+/bb/cc/dd=='><script>x = y /a/b/c</script></body></html>"
    )
    with serving(own_folder) as client:
        told = client.get("/card").text
        report = client.get("/report")
        ready = client.get("/v2/health/ready").text
    assert report.status_code == 200
    assert report.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in report.headers["Content-Security-Policy"]
    for text in (told, report.text, ready):
        assert "secret-project" not in text
        assert "/home/ann" not in text
        assert "facevalue train" not in text
    assert json.loads(told)["provenance"]["source"] == "pictures"
    assert json.loads(told)["classes"] == list(card.classes)
    assert "x.png" in report.text
    assert "<a href='#x'>" in report.text
    assert "base64,aa+/bb/cc/dd==" in report.text
    assert "y /a/b/c" in report.text


def test_no_report(folder: Path) -> None:
    with serving(folder) as client:
        response = client.get("/report")
        assert response.status_code == 404
        assert response.json() == {"error": "model model has no report.html"}


def test_heat_as_png(client: httpx.Client, folder: Path, face: bytes) -> None:
    predictor = open_folder(folder)
    expected = predictor.predict_bytes(face, heat=True)
    assert expected.heat is not None
    response = client.post("/explain?view=heat", files={"files": face})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert response.headers["X-Leaning"] == expected.leaning
    drawn = np.asarray(Image.open(io.BytesIO(response.content)))
    assert drawn.shape == (32, 32)
    # The middle of each cell of the map.
    step = 32 // len(expected.heat)
    cells = drawn.reshape(len(expected.heat), step, -1, step).mean((1, 3)) / 255
    assert np.corrcoef(cells.ravel(), expected.heat.ravel())[0, 1] > 0.95
    overlay = client.post("/models/model/explain", content=face, headers={"Content-Type": "image/png"})
    pixels = np.asarray(Image.open(io.BytesIO(overlay.content))).astype(int)
    assert pixels.shape == (32, 32, 3)
    cold = drawn == 0
    assert (pixels[cold] == predictor.pixels_of(face)[cold]).all()
    assert (pixels != predictor.pixels_of(face)).any()


def test_heat_of_a_network_without_it(client: httpx.Client, face: bytes) -> None:
    assert client.post("/explain", files={"files": b"text"}).status_code == 422
    assert client.post("/explain?view=x", files={"files": face}).status_code == 422
    response = client.post("/explain", files=[("files", face), ("files", face)])
    assert response.status_code == 413


def test_an_api_key(folder: Path, face: bytes) -> None:
    key = "correct horse"
    with serving(folder, api_key=key) as client:
        for open_path in ("/v2/health/live", "/v2/health/ready", "/", "/static/main.js", "/docs", "/openapi.json"):
            assert client.get(open_path).status_code == 200, open_path
        for headers in (
            {},
            {"X-API-Key": "wrong"},
            {"Authorization": "Basic abc"},
            {"Authorization": f"Bearer {key}x"},
        ):
            for path in ("/card", "/metrics", "/models", "/v2", "/static/../card", "/nothing"):
                response = client.get(path, headers=headers)
                assert response.status_code == 401, path
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert "API key" in response.json()["error"]
            assert client.post("/predict", files={"files": face}, headers=headers).status_code == 401
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}):
            assert client.post("/predict", files={"files": face}, headers=headers).status_code == 200


def test_other_origins(folder: Path) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    with serving(folder) as client:
        assert "Access-Control-Allow-Origin" not in client.get("/card", headers=asked).headers
        assert client.options("/predict", headers=asked).status_code == 405
    with serving(folder, cors_origins=("https://shop.example",), api_key="12345678") as client:
        allowed = client.options("/predict", headers=asked)
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        other = client.options("/predict", headers={**asked, "Origin": "https://other.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
        assert (other.status_code, other.json()) == (400, {"error": "Disallowed CORS origin"})


def test_two_models_of_one_name_are_wrong_use(folder: Path, another: Path) -> None:
    with pytest.raises(UsageError, match="two models are named x"):
        run([f"x={folder}", f"x={another}"], Settings(port=0))
