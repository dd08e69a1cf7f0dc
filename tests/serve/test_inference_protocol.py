"""The Open Inference Protocol as specified; test_foreign_programs.py does the same with tritonclient."""

from __future__ import annotations

import base64
import json
import struct
import tracemalloc
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facevalue.evidence.card import ModelCard
from facevalue.runtime import open_folder
from facevalue.serve.answers import Refusal
from facevalue.serve.inference_protocol import read_request

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/model/infer"


@pytest.fixture(scope="module")
def files(lfw: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(lfw.rglob("*.png"))[98:102]]


def binary(tensor: dict[str, Any], raw: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {**tensor, "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor], **more}).encode()
    return text + raw, {LENGTH: str(len(text))}


def packed(files: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(data)) + data for data in files)


def outputs(response: httpx.Response) -> dict[str, Any]:
    """Outputs by name, JSON or binary, in their shapes."""
    assert response.status_code == 200, response.text
    length = response.headers.get(LENGTH)
    text, rest = (
        (response.content, b"")
        if length is None
        else (response.content[: int(length)], response.content[int(length) :])
    )
    found = {}
    for output in json.loads(text)["outputs"]:
        if "data" in output:
            values: Any = output["data"]
        else:
            size = output["parameters"]["binary_data_size"]
            raw, rest = rest[:size], rest[size:]
            values = []
            if output["datatype"] == "FP32":
                values = np.frombuffer(raw, "<f4").tolist()
            while output["datatype"] == "BYTES" and raw:
                n = int.from_bytes(raw[:4], "little")
                values.append(raw[4 : 4 + n].decode())
                raw = raw[4 + n :]
        found[output["name"]] = np.reshape(values, output["shape"])
    assert rest == b""
    return found


def test_metadata(client: httpx.Client, folder: Path) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/").json() == client.get("/v2").json()
    answer = client.get("/v2/models/model").json()
    (version,) = answer["versions"]
    assert answer["name"] == "model"
    assert [tensor["name"] for tensor in answer["inputs"]] == ["images", "pixels"]
    assert {tensor["name"] for tensor in answer["outputs"]} >= {"probabilities", "logits", "novelty", "label", "heat"}
    assert client.get(f"/v2/models/model/versions/{version}").json() == answer
    for path in ("/v2/models/model/ready", f"/v2/models/model/versions/{version}/ready"):
        assert client.get(path).json() == {"name": "model", "ready": True}
    for path in ("/v2/models/other", "/v2/models/model/versions/1", "/v2/models/other/ready"):
        response = client.get(path)
        assert response.status_code == 404
        assert set(response.json()) == {"error"}


def test_files_and_pixels_json_and_binary_give_one_answer(
    client: httpx.Client, folder: Path, files: list[bytes]
) -> None:
    """Four forms of request and two of answer: each equals the predictor in this process."""
    predictor = open_folder(folder)
    expected = list(predictor.predict(files, heat=True))
    inputs = np.stack([predictor.pixels_of(data) for data in files])
    n = len(files)
    images = {"name": "images", "datatype": "BYTES", "shape": [n]}
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": list(inputs.shape)}
    version = client.get("/v2/models/model").json()["versions"][0]
    names = [{"name": name} for name in ("probabilities", "label", "leaning", "reasons", "novelty", "logits", "heat")]
    for wanted in (False, True):
        more = {"outputs": names, "parameters": {"binary_data_output": wanted}, "id": "7"}
        asked = [
            (
                json.dumps(
                    {"inputs": [{**images, "data": [base64.b64encode(f).decode() for f in files]}], **more}
                ).encode(),
                {},
            ),
            (json.dumps({"inputs": [{**pixels, "data": inputs.tolist()}], **more}).encode(), {}),
            (json.dumps({"inputs": [{**pixels, "data": inputs.ravel().tolist()}], **more}).encode(), {}),
            binary(images, packed(files), **more),
            binary(pixels, inputs.tobytes(), **more),
        ]
        for body, headers in asked:
            response = client.post(f"/v2/models/model/versions/{version}/infer", content=body, headers=headers)
            found = outputs(response)
            assert (LENGTH in response.headers) == wanted
            assert list(found) == [name["name"] for name in names]
            for i, prediction in enumerate(expected):
                assert found["label"][i] == (prediction.label or "")
                assert found["leaning"][i] == prediction.leaning
                assert found["probabilities"][i] == pytest.approx(list(prediction.probabilities.values()), abs=1e-5)
                assert prediction.heat is not None
                np.testing.assert_allclose(found["heat"][i], prediction.heat, atol=1e-4)


def test_defaults_and_identity(client: httpx.Client, files: list[bytes]) -> None:
    body, headers = binary({"name": "images", "datatype": "BYTES", "shape": [1]}, packed(files[:1]), id="a")
    response = client.post(INFER, content=body, headers=headers)
    answer = response.json()
    assert answer["id"] == "a"
    assert answer["model_name"] == "model"
    assert answer["model_version"] == client.get("/v2/models/model").json()["versions"][0]
    assert "heat" not in outputs(response)
    # One output in binary, the others as JSON.
    body, headers = binary(
        {"name": "images", "datatype": "BYTES", "shape": [1, 1]},
        packed(files[:1]),
        outputs=[{"name": "label"}, {"name": "logits", "parameters": {"binary_data": True}}],
    )
    mixed = outputs(client.post(INFER, content=body, headers=headers))
    assert mixed["logits"].shape == (1, 2)
    assert "id" not in client.post(INFER, content=body, headers=headers).text


def pixels(shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": "pixels", "datatype": "UINT8", "shape": shape, "data": data}


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "images", "datatype": "BYTES", "shape": [1], "data": ["aGFsbG8="], **changes}


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ({}, 400, "inputs"),
        ({"inputs": []}, 400, "Expected one input"),
        ({"inputs": [image(), image()]}, 400, "got 2"),
        ({"inputs": [image(name="x")]}, 400, "'x'"),
        ({"inputs": [image(datatype="FP32")]}, 400, "FP32"),
        ({"inputs": [image(shape=[2])]}, 400, "1 elements"),
        ({"inputs": [image(shape=[])]}, 400, "shape"),
        ({"inputs": [image(shape=[-1])]}, 400, "shape"),
        ({"inputs": [image(shape=[1] * 9)]}, 400, "shape"),
        ({"inputs": [image(shape=[0], data=[])]}, 400, "shape"),
        ({"inputs": [image(shape=[2**70])]}, 413, "32 images"),
        ({"inputs": [image(shape=[1000], data=["aGFsbG8="] * 1000)]}, 413, "32 images"),
        ({"inputs": [image(data=None)]}, 400, "no data"),
        ({"inputs": [image(data=["ä"])]}, 400, "base64"),
        ({"inputs": [image(data=[5])]}, 400, "base64"),
        ({"inputs": [image()]}, 400, "image 0 is not an image in a known format"),
        ({"inputs": [image()], "outputs": [{"name": "x"}]}, 400, "there is no output 'x'"),
        ({"inputs": [image()], "outputs": [{"name": "label"}, {"name": "label"}]}, 400, "twice"),
        ({"inputs": [image()], "parameters": {"binary_data_output": 1}}, 400, "Expected `bool`"),
        ({"inputs": [image(parameters={"binary_data_size": 5})]}, 400, "binary_data_size"),
        ({"inputs": [image(parameters={"binary_data_size": True})]}, 400, "binary_data_size"),
        ({"inputs": [pixels([1, 32, 32, 3], [1])]}, 400, "1 values"),
        ({"inputs": [pixels([1, 8, 8, 3], [1])]}, 400, "[n, 32, 32, 3]"),
        ({"inputs": [pixels([1, 32, 32, 3], [256] * 3072)]}, 400, "0 to 255"),
        ({"inputs": [pixels([1, 32, 32, 3], [0.5] * 3072)]}, 400, "whole"),
        ({"inputs": [pixels([1, 32, 32, 3], [[1], [1, 2]])]}, 400, "3 values"),
        ({"inputs": [pixels([1, 32, 32, 3], [[0] * 3071, [0]])]}, 400, "rows"),
        ({"inputs": [pixels([1, 32, 32, 3], [[[[[0]]]]] + [0] * 3071)]}, 400, "deeper"),
        ({"inputs": [pixels([1, 32, 32, 3], [True] * 3072)]}, 400, "whole"),
        ({"inputs": [image(data=["aGk="] * 3)]}, 400, "more elements"),
        ({"inputs": [image(name="x" * 100_000, data=None)]}, 400, "x has no data"),
        ({"inputs": [image(parameters={"binary_data_size": -1})]}, 400, "binary_data_size"),
        ({"inputs": [pixels([1, 32, 32, 3], ["a"] * 3072)]}, 400, "whole"),
    ],
)  # fmt: skip
def test_wrong_requests(request_: object, status: int, reason: str, client: httpx.Client) -> None:
    response = client.post(INFER, json=request_)
    assert response.status_code == status, response.text
    assert reason in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"{}", {LENGTH: "3"}, 400),
        (b"{}", {LENGTH: "-1"}, 400),
        (b"{}", {LENGTH: "a"}, 400),
        (b"{}", {LENGTH: "1" * 5000}, 400),
        (*binary({"name": "images", "datatype": "BYTES", "shape": [1]}, bytes(4_000_000)), 400),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (*binary({"name": "images", "datatype": "BYTES", "shape": [1]}, b"\xff\xff\xff\xff"), 400),
        (*binary({"name": "images", "datatype": "BYTES", "shape": [1]}, b"\x01\x00"), 400),
        (binary({"name": "images", "datatype": "BYTES", "shape": [0]}, b"")[0] + b"rest", {LENGTH: "2"}, 400),
    ],
)
def test_broken_bodies(body: bytes, headers: dict[str, str], status: int, client: httpx.Client) -> None:
    response = client.post(INFER, content=body, headers=headers)
    assert response.status_code == status, response.text
    assert set(response.json()) >= {"error"}


@pytest.mark.parametrize(
    "many",
    [
        '"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [MANY]}]',
        '"parameters": {"a": [MANY]}, "inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": [""]}]',
        '"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": [MANY]}]',
    ],
)
def test_a_wrong_request_takes_little_more_memory_than_its_size(many: str, folder: Path) -> None:
    body = f"{{{many}}}".replace("MANY", "[]," * 400_000 + "[]").encode()
    card = ModelCard.load(folder)
    tracemalloc.start()
    try:
        with suppress(Refusal):  # the second is right, as far as it is read here
            read_request(body, None, card, True, 32)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body)
    finally:
        tracemalloc.stop()


RIGHT: list[dict[str, Any]] = [
    {"name": "images", "datatype": "BYTES", "shape": [2], "data": ["aGk=", "aGk="]},
    {"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0] * (32 * 32 * 3)},
]

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    tensor=st.fixed_dictionaries(
        {
            "name": st.sampled_from(["images", "pixels", "x"]),
            "datatype": st.sampled_from(["BYTES", "UINT8", "FP32"]),
            "shape": st.lists(st.integers(-3, 40), max_size=5) | st.just([1, 32, 32, 3]),
        },
        optional={"data": _JSON, "parameters": st.dictionaries(st.just("binary_data_size"), _JSON, max_size=1)},
    ),
    more=st.dictionaries(st.sampled_from(["id", "outputs", "parameters"]), _JSON, max_size=2),
    rest=st.binary(max_size=64),
    length=st.none() | st.integers(0, 400).map(str) | st.text(max_size=4),
)
# Requests drawn at random are hardly ever right.
@example(tensor=RIGHT[0], more={}, rest=b"", length=None)
@example(tensor=RIGHT[1], more={"id": "7"}, rest=b"", length=None)
def test_any_request_is_read_or_refused(
    tensor: dict[str, Any], more: dict[str, Any], rest: bytes, length: str | None, folder: Path
) -> None:
    """Nothing but a refusal comes out of a request that is wrong; what is read has the shape that it says."""
    body = json.dumps({"inputs": [tensor], **more}).encode() + rest
    right = not rest and length is None and tensor in RIGHT
    with nullcontext() if right else suppress(Refusal):  # any other error fails the test
        asked = read_request(body, length, ModelCard.load(folder), True, 32)
        assert len(asked.images) == tensor["shape"][0]
