"""The OpenAPI document: complete, and true of every answer."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from .conftest import serving


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def check(document: dict[str, Any], response: httpx.Response, path: str) -> None:
    """The status is documented, the type is, and what came is of the documented shape."""
    answers = document["paths"][path][response.request.method.lower()]["responses"]
    assert str(response.status_code) in answers, f"{path} answers {response.status_code}: {response.text[:200]}"
    kind = response.headers["content-type"]
    content = answers[str(response.status_code)]["content"]
    assert kind in content, f"{path} answers {kind}, and says {list(content)}"
    assert response.headers["X-Request-ID"]
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": document["components"]}
        jsonschema_rs.validate(schema, response.json())


def test_every_answer_has_a_shape_and_a_meaning(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (path, method)
            statuses = set(operation["responses"])
            assert {"200", "401", "405", "500"} <= statuses, (path, method)
            if method == "post":
                assert {"400", "408", "413", "415", "503"} <= statuses, path
                assert operation["requestBody"]["required"]
            if "{name}" in path:
                assert {"404", "503"} <= statuses, path
            for status, answer in operation["responses"].items():
                assert answer["description"], (path, status)
                for kind, content in answer["content"].items():
                    assert content["schema"], (path, status, kind)
    metrics = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert [kind.partition(";")[0] for kind in metrics] == ["text/plain"]


def test_all_routes_are_in_the_document(client: httpx.Client, document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/predict", "/models/{name}/predict", "/explain", "/models/{name}/explain", "/models", "/card",
        "/models/{name}/card", "/report", "/models/{name}/report", "/drift", "/models/{name}/drift", "/v2",
        "/v2/health/live", "/v2/health/ready", "/v2/models/{name}", "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/ready", "/v2/models/{name}/versions/{version}/ready", "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer", "/metrics",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["model", "other", "a b", "%2e%2e", "x" * 5000])
def test_answers_are_as_documented(name: str, client: httpx.Client, document: dict[str, Any], lfw: Path) -> None:
    version = client.get("/v2/models/model").json()["versions"][0]
    data = (lfw / "face" / "face-000.png").read_bytes()
    for path, methods in document["paths"].items():
        url = path.format(name=name, version=version)
        if "get" in methods:
            check(document, client.get(url), path)
            assert client.post(url).status_code == 405
        else:
            assert client.get(url).status_code == 405
        if "post" in methods:
            check(document, client.post(url, files={"files": data}), path)
            check(document, client.post(url, content=data, headers={"Content-Type": "image/png"}), path)
            check(document, client.post(url, content=b""), path)
            check(document, client.post(url, json={"inputs": []}), path)
            check(document, client.post(url, content=b"a", headers={"Content-Encoding": "br"}), path)


_TYPES = st.sampled_from(
    ["image/png", "multipart/form-data; boundary=x", "multipart/form-data", "application/json", "a", "image/", ""]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    path=st.sampled_from(["/predict", "/explain", "/models/{name}/predict", "/v2/models/{name}/infer"]),
    name=st.just("model") | st.text(min_size=1, max_size=8),
    kind=_TYPES,
    body=st.binary(max_size=300)
    | st.binary(max_size=100).map(
        lambda b: b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b + b"\r\n--x--\r\n"
    ),
    query=st.dictionaries(st.sampled_from(["heat", "view", "x"]), st.text(max_size=6), max_size=2),
)
@example(path="/models/{name}/predict", name="a/b", kind="image/png", body=b"", query={})
@example(path="/v2/models/{name}/infer", name="..", kind="application/json", body=b"", query={})
def test_any_request_is_answered_as_documented(
    path: str, name: str, kind: str, body: bytes, query: dict[str, str], client: httpx.Client, document: dict[str, Any]
) -> None:
    url = path.format(name=quote(name, safe=""))
    response = client.post(url, content=body, headers={"Content-Type": kind}, params=query)
    if "/" in name or name in (".", ".."):
        assert response.status_code in (404, 405)  # another path
        return
    check(document, response, path)
    assert response.status_code != 500


def test_the_page_of_the_document(client: httpx.Client, document: dict[str, Any]) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text
    for path in document["paths"]:
        assert path in page.text
    assert "https://" not in page.text
    assert client.get("/static/docs.css").status_code == 200


def test_documented_while_there_is_no_model(tmp_path: Path, document: dict[str, Any]) -> None:
    with serving(tmp_path / "model") as client:
        for path, methods in document["paths"].items():
            url = path.format(name="model", version="1")
            for method in methods:
                response = client.request(method, url, content=b"x", headers={"Content-Type": "image/png"})
                check(document, response, path)
                if path not in ("/v2", "/v2/health/live", "/metrics"):
                    assert response.status_code == 503, path


def test_the_protocol_s_own_shapes(client: httpx.Client) -> None:
    """The answers have what the Open Inference Protocol's document requires, with its types."""
    body = {"id": "a", "inputs": [{"name": "pixels", "shape": [1, 32, 32, 3], "datatype": "UINT8", "data": [7] * 3072}]}
    for url, send, required in (
        ("/v2", None, {"name": str, "version": str, "extensions": list}),
        ("/v2/models/model", None, {"name": str, "versions": list, "platform": str, "inputs": list, "outputs": list}),
        ("/v2/models/model/ready", None, {"name": str, "ready": bool}),
        ("/v2/health/live", None, {"live": bool}),
        ("/v2/health/ready", None, {"ready": bool}),
        ("/v2/models/model/infer", body, {"model_name": str, "model_version": str, "id": str, "outputs": list}),
    ):
        answer = (client.get(url) if send is None else client.post(url, json=send)).json()
        for key, kind in required.items():
            assert isinstance(answer[key], kind), (url, key)
        for tensor in answer.get("outputs", []):
            assert {"name", "shape", "datatype"} <= set(tensor)
            assert tensor["datatype"] in ("FP32", "BYTES")
            if send is not None:
                assert len(tensor["data"]) == math.prod(tensor["shape"])


def test_polyglots_and_path_names(client: httpx.Client, lfw: Path) -> None:
    """A file that is an image and something else is that image; a name is text and never a path."""
    data = (lfw / "face" / "face-000.png").read_bytes()
    plain = client.post("/predict", files={"files": ("a.png", data)}).json()["results"][0]
    script = b"<script>alert(1)</script>"
    polyglot = client.post("/predict", files={"files": ("a.html", data + script, "text/html")})
    assert polyglot.json()["results"][0]["probabilities"] == plain["probabilities"]
    assert polyglot.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("../../etc/passwd", "/etc/passwd", "a\x00b.png", "x" * 3000, "\u202e.png", "<b>.png"):
        row = client.post("/predict", files={"files": (name, data)}).json()["results"][0]
        assert row["probabilities"] == plain["probabilities"]
        assert row["path"]
    gif = io.BytesIO()
    Image.new("RGB", (8, 8)).save(gif, "GIF")
    assert client.post("/predict", files={"files": gif.getvalue() + b"/*" + data}).status_code == 200
    assert client.post("/predict", files={"files": b"%PDF-1.7 " + data}).status_code == 422
    assert client.post("/predict", files={"files": b"PK\x03\x04" + data}).status_code == 422
