"""The page's network inputs are Python's, byte for byte, or it says in one line why it gives none."""

from __future__ import annotations

import base64
import io
import re
import struct
import warnings
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageCms
from selenium import webdriver

from facevalue.errors import ImageError
from facevalue.images import signatures
from facevalue.images.colour import SAME
from facevalue.images.parity import one_per_kind, parity_files
from facevalue.images.parity.profiles import profile
from facevalue.images.preprocessing import Preprocessing
from facevalue.web.canaries import KINDS, crc32
from facevalue.web.page import STATIC

from .browsing import NEEDED, run

pytestmark = NEEDED

PREPROCESSING = (
    Preprocessing(size=224),
    Preprocessing(size=96, fit="crop", filter="lanczos", crop_fraction=0.875),
    Preprocessing(size=64, fit="pad", filter="bilinear"),
    Preprocessing(size=50, fit="crop", filter="nearest", crop_fraction=0.7),
    Preprocessing(size=50, filter="box"),
)

READ = """
const { read } = await import("/reading.js");
const { crc32 } = await import("/images/bytes.js");
const seen = [];
for (const [data, preprocessing] of values[0]) {
  try {
    const { input, width, height } = await read(new Blob([bytesOf(data)]), preprocessing);
    seen.push({ input: crc32(input), width, height });
  } catch (error) {
    seen.push({ reason: error.reason ?? String(error.stack), values: error.values });
  }
}
return seen;
"""


def in_browser(browser: webdriver.Chrome, files: list[tuple[bytes, Preprocessing]]) -> list[dict[str, Any]]:
    given = [[base64.b64encode(data).decode(), msgspec.to_builtins(how)] for data, how in files]
    found: list[dict[str, Any]] = run(browser, READ, given)
    return found


def refusal(browser: webdriver.Chrome, data: bytes) -> str | None:
    return in_browser(browser, [(data, PREPROCESSING[0])])[0].get("reason")


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    coarse = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((300, 200), Image.Resampling.BICUBIC)


def expect_same(browser: webdriver.Chrome, files: list[tuple[str, bytes, Preprocessing]]) -> dict[str, str]:
    """Compare with Python's; returns the reason for each kind that the page refuses."""
    found = in_browser(browser, [(data, how) for _, data, how in files])
    refused = {}
    for (kind, data, how), seen in zip(files, found, strict=True):
        if "reason" in seen:
            refused[kind] = seen["reason"]
        else:
            assert seen["input"] == python_input(data, how), f"{kind}, {how}"
    return refused


def python_input(data: bytes, how: Preprocessing) -> int | None:
    """CRC-32 of Python's network input; ``None`` where it refuses the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata
        try:
            return crc32(how.read(data))
        except ImageError:
            return None


def test_network_inputs_of_drawn_files(scripts: webdriver.Chrome) -> None:
    files = [file for file in one_per_kind() if file.kind in KINDS or "tiff RGB" in file.kind or " x " in file.kind]
    chosen = [(file.kind, file.data, PREPROCESSING[i % len(PREPROCESSING)]) for i, file in enumerate(files)]
    assert expect_same(scripts, chosen) == {"tiff RGB": "no_browser_format"}


@pytest.mark.slow
def test_network_inputs_of_all_drawn_files(scripts: webdriver.Chrome) -> None:
    files = parity_files()
    refused: dict[str, str] = {}
    for i, file in enumerate(files):
        refused |= expect_same(scripts, [(file.kind, file.data, PREPROCESSING[i % len(PREPROCESSING)])])
    assert set(refused.values()) == {"no_browser_format"}
    assert all(kind.startswith("tiff") for kind in refused)
    assert sum(file.kind not in refused for file in files) >= 200


RESIZE = """
const { networkInput } = await import("/images/preprocessing.js");
const { crc32 } = await import("/images/bytes.js");
return values[0].map(([data, width, height, preprocessing]) => {
  const rgb = bytesOf(data);
  const rgba = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  const strip = (top, rows) => rgba.subarray(top * width * 4, (top + rows) * width * 4);
  return crc32(networkInput({ width, height, strip }, preprocessing));
});
"""


def resampled(browser: webdriver.Chrome, cases: list[tuple[np.ndarray, Preprocessing]]) -> None:
    given = [
        [base64.b64encode(pixels.tobytes()).decode(), pixels.shape[1], pixels.shape[0], msgspec.to_builtins(how)]
        for pixels, how in cases
    ]
    wanted = [crc32(how.apply(Image.fromarray(pixels))) for pixels, how in cases]
    assert run(browser, RESIZE, given) == wanted


def test_resampling_of_random_pixels(scripts: webdriver.Chrome) -> None:
    rng = np.random.default_rng(0)
    cases = []
    for name in ("nearest", "box", "bilinear", "bicubic", "lanczos"):
        for fit in ("squash", "crop", "pad"):
            for _ in range(6):
                height, width = (int(side) for side in np.exp(rng.uniform(0, 6.2, 2)))
                how = Preprocessing(
                    size=int(rng.integers(8, 90)), fit=fit, filter=name, crop_fraction=float(rng.uniform(0.05, 1))
                )  # type: ignore[arg-type]
                cases.append((rng.integers(0, 256, (height, width, 3), dtype=np.uint8), how))
    cases.append((rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), Preprocessing(size=32)))  # nothing to do
    cases.append((rng.integers(0, 256, (20, 32, 3), dtype=np.uint8), Preprocessing(size=32, fit="pad")))
    resampled(scripts, cases)


def test_a_very_tall_image_is_made_short_first(scripts: webdriver.Chrome) -> None:
    """The image between the passes would have more than 2 ** 27 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (2**27 // 4096 + 100, 2, 3), dtype=np.uint8)
    resampled(scripts, [(pixels, Preprocessing(size=4096, filter="bilinear"))])


CONVERT = """
const { conversion } = await import("/images/colour.js");
const pixels = bytesOf(values[1]);
try {
  const convert = conversion(bytesOf(values[0]), { grey: values[2] });
  convert?.(pixels);
  return { changed: Boolean(convert), pixels: btoa(Array.from(pixels, (v) => String.fromCharCode(v)).join("")) };
} catch (error) {
  return { reason: error.reason ?? String(error.stack) };
}
"""


def rgb_profile(name: str) -> bytes:
    """One of the drawn images' profiles, or with parametric curves as the newest profiles have them."""
    if not name.startswith("parametric"):
        return profile(name)  # type: ignore[arg-type]
    kind = int(name[-1])
    numbers = {
        0: [2.2],
        1: [2.2, 1.05, -0.05],
        2: [2.4, 1.0, 0.0, 0.0],
        3: [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045],
        4: [2.1, 0.92, 0.08, 0.07, 0.05, -0.003, 0.0],
        5: [2.2, 0.9, 0.1],
    }[kind]
    curve = (
        b"para\0\0\0\0"
        + struct.pack(">HH", 1 if kind == 5 else kind, 0)
        + b"".join(struct.pack(">i", round(v * 65536)) for v in numbers)
    )
    whole = bytearray(profile("display-p3"))
    tags = {bytes(whole[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", whole[128:132])[0], 12)}
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        struct.pack_into(">II", whole, tags[tag] + 4, len(whole), len(curve))
    whole += curve + bytes(-len(curve) % 4)
    struct.pack_into(">I", whole, 0, len(whole))
    return bytes(whole)


@pytest.mark.parametrize(
    "name", ["srgb", "display-p3", "adobe-rgb", "prophoto-rgb", *(f"parametric {kind}" for kind in range(5))]
)
def test_colours_are_converted_as_little_cms_does(name: str, scripts: webdriver.Chrome) -> None:
    data = rgb_profile(name)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    found = run(scripts, CONVERT, *(base64.b64encode(b).decode() for b in (data, rgba.tobytes())), False)
    transform = ImageCms.buildTransform(io.BytesIO(data), ImageCms.createProfile("sRGB"), "RGB", "RGB")
    wanted = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))
    assert found["changed"] == (np.abs(wanted.astype(int) - pixels).max() > SAME)
    seen = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8).reshape(rgba.shape)
    np.testing.assert_array_equal(seen[..., :3], wanted if found["changed"] else pixels)


def test_a_profile_by_tables_or_without_black_is_refused(scripts: webdriver.Chrome) -> None:
    """Little CMS moves a black that is not zero (black point compensation)."""
    grey = rgb_profile("parametric 5")
    assert run(scripts, CONVERT, base64.b64encode(grey).decode(), "", False) == {"reason": "profile"}
    whole = bytearray(profile("display-p3"))
    at = whole.index(b"rTRC")
    whole[at : at + 4] = b"A2B0"
    assert run(scripts, CONVERT, base64.b64encode(whole).decode(), "", False) == {"reason": "profile"}


SIGNATURES = """
const { imageFormat, foreignFormat } = await import("/images/signatures.js");
return values[0].map((head) => [imageFormat(bytesOf(head)), foreignFormat(bytesOf(head))]);
"""


def test_types_by_their_first_bytes(scripts: webdriver.Chrome) -> None:
    rng = np.random.default_rng(0)
    starts = [start for start, _ in (*signatures._STARTS, *signatures._FOREIGN)]
    brands = [*signatures._HEIF, *signatures._FOREIGN_BRANDS, b"avif", b"avis", b"none"]
    starts += [
        b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0" + other for brand in brands for other in (b"avif", b"heic", b"x")
    ]
    starts += [
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0AVI ",
        b"BM" + bytes(12) + b"\x28\0\0\0",
        b"BMW is a car, not an image",
    ]
    starts += [b"P6\n# text\n12 ", b"P5 1", b"P5 x", b"II*\0\x10\0\0\0CR", b"<?xml?><svg ", bytes(128) + b"DICM", b""]
    heads = [start + rng.bytes(int(rng.integers(0, 40))) for start in starts for _ in range(3)]
    heads += [rng.bytes(600) for _ in range(50)]
    found = run(scripts, SIGNATURES, [base64.b64encode(head).decode() for head in heads])
    for head, seen in zip(heads, found, strict=True):
        short = head[: signatures.HEAD]
        assert seen == [signatures.image_format(short), signatures.foreign_format(short)], head[:40]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_orientations(kind: str, photo: Image.Image, scripts: webdriver.Chrome) -> None:
    """Tags that mean nothing, in another type or order, damaged, or only in XMP."""

    def entry(order: str, type_: int, value: bytes) -> bytes:
        start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
        return b"Exif\0\0" + start + struct.pack(order + "HHHI", 1, 0x0112, type_, 1) + value.ljust(4, b"\0") + bytes(4)

    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
    tags = {
        "little": {"exif": entry("<", 3, struct.pack("<H", 6))},
        "big": {"exif": entry(">", 3, struct.pack(">H", 8))},
        "long": {"exif": entry(">", 4, struct.pack(">I", 3))},
        "nine": {"exif": entry("<", 3, struct.pack("<H", 9))},
        "zero": {"exif": entry("<", 3, struct.pack("<H", 0))},
        "cut": {"exif": entry("<", 3, struct.pack("<H", 6))[:-6]},
        "none": {"exif": b"Exif\0\0nonsense"},
    }
    if kind != "PNG":
        tags["xmp"] = {"xmp": xmp % 5}
        tags["xmp and exif"] = {"xmp": xmp % 5, "exif": entry("<", 3, struct.pack("<H", 2))}
    how = PREPROCESSING[0]
    assert expect_same(scripts, [(name, written(photo, kind, **tag), how) for name, tag in tags.items()]) == {}


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_bad_files(photo: Image.Image, scripts: webdriver.Chrome) -> None:
    jpeg, png = written(photo, "JPEG"), written(photo, "PNG")
    progressive = written(photo, "JPEG", progressive=True, quality=95)
    cases = {
        "empty": (b"", "empty"),
        "text": (b"no image", "no_image"),
        "pdf": (b"%PDF-1.7 ...", "foreign"),
        "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        "tiff": (written(photo, "TIFF"), "no_browser_format"),
        "20,000 x 20,000": (png_claiming(20_000, 20_000), "too_large"),
        "jpeg cut": (jpeg[: len(jpeg) // 2], "damaged"),
        "jpeg cut before an end mark": (jpeg[: len(jpeg) // 2] + b"\xff\xd9", "truncated"),
        "scans cut before an end mark": (progressive[: len(progressive) - 900] + b"\xff\xd9", "truncated"),
        "png cut": (png[: len(png) // 2], "truncated"),
        "cmyk with a profile": (written(photo.convert("CMYK"), "JPEG", icc_profile=profile("srgb")), "profile"),
        "alpha with a profile": (
            written(photo.convert("RGBA").rotate(5), "PNG", icc_profile=profile("adobe-rgb")),
            "profile",
        ),
        "12 MB too many": (bytes(64 * 2**20 + 1), "too_many_bytes"),
    }
    for name, (data, reason) in cases.items():
        if name == "12 MB too many":
            program = (
                'const { read } = await import("/reading.js");'
                "return read(new Blob([new Uint8Array(values[0])]), {}).catch((error) => error.reason);"
            )
            assert run(scripts, program, len(data)) == reason
        else:
            assert refusal(scripts, data) == reason, name


def test_every_refusal_has_its_words(scripts: webdriver.Chrome) -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in STATIC.rglob("*.js"))
    reasons = sorted({*re.findall(r'new Refusal\(\s*"(\w+)"', texts), "heic", "no_browser_format"})
    assert len(reasons) > 10
    program = 'const { isKnown } = await import("/text.js"); return values[0].map((one) => isKnown(`refusals.${one}`));'
    assert all(run(scripts, program, reasons)), reasons


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_damaged_files_are_refused_or_read_as_python_does(
    kind: str, photo: Image.Image, scripts: webdriver.Chrome
) -> None:
    small = photo.resize((60, 40))
    options = {"progressive": {"progressive": True}, "AVIF": {"speed": 10}}.get(kind, {})
    data = written(small, "JPEG" if kind == "progressive" else kind, **options)
    rng = np.random.default_rng(0)
    files = []
    for _ in range(25):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            changed[at] = rng.integers(256)
        files.append(bytes(changed))
    how = Preprocessing(size=32)
    found = in_browser(scripts, [(one, how) for one in files])
    for one, seen in zip(files, found, strict=True):
        wanted = python_input(one, how)
        assert "reason" in seen or seen["input"] == wanted, base64.b64encode(one)
