from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from facevalue.runtime import open_folder

from .conftest import serving


def kinds(source: Path) -> dict[str, bytes]:
    """One image as files that are easily read wrongly."""
    image = Image.open(source).convert("RGB").resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = {}
    for name, kind, shown, options in (
        ("rotated.jpg", "JPEG", image, {"exif": exif}),
        ("cmyk.jpg", "JPEG", image.convert("CMYK"), {}),
        ("grey.jpg", "JPEG", image.convert("L"), {}),
        ("palette.gif", "GIF", image.convert("P"), {}),
        ("deep.png", "PNG", image.convert("L").convert("I;16"), {}),
        ("alpha.png", "PNG", image.convert("RGBA"), {}),
        ("one.png", "PNG", image.resize((1, 1)), {}),
        ("a.webp", "WEBP", image, {}),
        ("a.tif", "TIFF", image, {}),
    ):
        buffer = io.BytesIO()
        shown.save(buffer, kind, **options)
        out[name] = buffer.getvalue()
    return out


def huge_png(width: int, height: int) -> bytes:
    """A PNG of width x height equal 1-bit pixels, which compresses to a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + bytes((width + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


def post(client: httpx.Client, *named: tuple[str, bytes], **params: str) -> httpx.Response:
    return client.post("/predict", files=[("files", pair) for pair in named], params=params)


def test_answers_equal_the_predictor_s_on_the_files(
    client: httpx.Client, folder: Path, lfw: Path, tmp_path: Path
) -> None:
    named = kinds(lfw / "face" / "face-000.png")
    for name, data in named.items():
        (tmp_path / name).write_bytes(data)
    predictor = open_folder(folder)
    for (name, data), prediction in zip(
        named.items(), predictor.stream_named((str(tmp_path / n), tmp_path / n) for n in named), strict=True
    ):
        response = post(client, (name, data), heat="true")
        assert response.status_code == 200, response.text
        (row,) = response.json()["results"]
        heat = row.pop("heat")
        expected = {**predictor.predict_bytes(data, name).to_dict()}
        assert row == expected
        assert row["label"] == prediction.label
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
        exact = predictor.predict_bytes(data, heat=True).heat
        assert exact is not None
        np.testing.assert_allclose(heat, exact, atol=6e-4)


def test_several_files_one_row_each_in_order(client: httpx.Client, lfw: Path) -> None:
    paths = sorted(lfw.rglob("*.png"))[85:115]
    response = post(client, *((path.name, path.read_bytes()) for path in paths))
    rows = response.json()["results"]
    assert [row["path"] for row in rows] == [path.name for path in paths]
    assert {row["label"] for row in rows} == {"face", "not-face"}
    assert "heat" not in rows[0]


def test_a_raw_image(client: httpx.Client, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    response = client.post("/predict", content=data, headers={"Content-Type": "image/png"})
    assert response.status_code == 200
    (row,) = response.json()["results"]
    assert row["path"] is None
    assert row["probabilities"] == post(client, ("a.png", data)).json()["results"][0]["probabilities"]


def test_bad_files_among_good_ones_are_rows(client: httpx.Client, lfw: Path) -> None:
    good = (lfw / "face" / "face-000.png").read_bytes()
    response = post(client, ("good.png", good), ("text.jpg", b"no image"), ("cut.png", good[:300]))
    assert response.status_code == 200
    rows = response.json()["results"]
    assert [row["error"] for row in rows] == [None, "is not an image in a known format", "is truncated"]
    assert rows[1]["label"] is None


@pytest.mark.parametrize(
    ("name", "data", "status", "reason"),
    [
        ("text.jpg", b"no image", 422, "the file is not an image in a known format"),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "file of the type SVG"),
        ("huge.png", huge_png(20_000, 20_000), 413, "more than the 50,000,000"),
        ("large.png", huge_png(8_000, 7_000), 413, "8,000 x 7,000"),
        ("empty.png", b"", 422, "there is no image in the request"),
    ],
)
def test_a_bad_image_is_refused_with_a_reason(
    name: str, data: bytes, status: int, reason: str, client: httpx.Client
) -> None:
    response = post(client, (name, data))
    assert response.status_code == status
    assert reason in response.json()["error"]
    assert "Traceback" not in response.text


def test_a_truncated_image_is_refused(client: httpx.Client, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    response = post(client, ("cut.png", data[: len(data) // 2]))
    assert response.status_code == 422
    assert response.json()["error"] == "the file is truncated"
    assert response.json()["path"] == "cut.png"


def test_only_bad_images_are_refused_with_all_rows(client: httpx.Client) -> None:
    response = post(client, ("a.jpg", b"text"), ("b.png", huge_png(8_000, 7_000)))
    assert response.status_code == 422
    assert [row["path"] for row in response.json()["results"]] == ["a.jpg", "b.png"]


def test_other_requests_are_refused_in_json(client: httpx.Client) -> None:
    for response, status, reason in (
        (client.post("/predict"), 415, "but got none"),
        (client.post("/predict", json={"a": 1}), 415, "application/json"),
        (client.post("/predict", files={"wrong": b"x"}), 422, "in the field files"),
        (client.post("/predict", data={"files": "text"}, files={"x": b""}), 400, "holds text"),
        (client.post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"}), 400, "form"),
        (client.post("/predict?heat=perhaps", files={"files": b"x"}), 422, "heat"),
        (client.get("/predict"), 405, "Not Allowed"),
        (client.get("/nothing"), 404, "Not Found"),
        (client.get("/static/../app.py"), 404, "Not Found"),
    ):
        assert response.status_code == status, response.text
        assert reason in response.json()["error"]


def test_too_many_files(folder: Path, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    with serving(folder, max_files=3) as client:
        assert post(client, *[("a.png", data)] * 3).status_code == 200
        for n in (4, 5, 40):
            response = post(client, *[("a.png", data)] * n)
            assert response.status_code == 413
            assert response.json()["error"] == "more than the 3 images allowed in one request"


def test_body_limit_with_and_without_a_stated_length(folder: Path, lfw: Path) -> None:
    with serving(folder, max_body_bytes=100_000) as client:
        png = {"Content-Type": "image/png"}
        for n in (100_001, 3_000_000):
            stated = client.post("/predict", content=bytes(n), headers=png)
            streamed = client.post("/predict", content=(bytes(n // 3 + 1) for _ in range(3)), headers=png)
            form = client.post("/predict", files={"files": bytes(n)})
            assert "content-length" not in streamed.request.headers
            for response in (stated, streamed, form):
                assert response.status_code == 413
                assert response.json()["error"] == "the request is larger than the 100,000 bytes allowed"
        # The server goes on, and a body just within the limit gets a prediction.
        data = (lfw / "face" / "face-000.png").read_bytes()
        padded = data + bytes(100_000 - len(data))
        assert client.post("/predict", content=padded, headers=png).status_code == 200
