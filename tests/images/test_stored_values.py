"""The same ramp however it is stored, transparency by stored values, colour profiles by content, cut JPEGs."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from facevalue.errors import ImageError
from facevalue.images import jpeg_end
from facevalue.images.decoding import decode, decode_reduced, open_image, read_bytes

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.int64), (8, 1))
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((400, 300))


def read(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(data))


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: NDArray[np.generic], photometric: int, bits: int, kind: int = 1, *more: tuple[int, int]) -> bytes:
    """One strip of grey, uncompressed; ``more`` are other tags with a LONG each."""
    data, (height, width) = pixels.tobytes(), pixels.shape[:2]
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (277, 1), (278, height)]
    tags = sorted([*tags, (273, 0), (279, len(data)), (339, kind), *more])
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", t, 4, 1, start if t == 273 else v) for t, v in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + data


def png(pixels: bytes, width: int, height: int, depth: int, kind: int, transparent: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    size = len(pixels) // height
    rows = b"".join(b"\0" + pixels[i * size : (i + 1) * size] for i in range(height))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [
        chunk(b"IHDR", head),
        chunk(b"tRNS", transparent) if transparent else b"",
        chunk(b"IDAT", zlib.compress(rows)),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def packed_12_bits(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    pairs = values.reshape(values.shape[0], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=-1).reshape(values.shape[0], -1).astype(np.uint8)


def test_tiff_ramps_of_known_range_are_one_ramp() -> None:
    wide = (RAMP * 257).astype("<u2")
    files = {
        "8": tiff(RAMP.astype("u1"), 1, 8),
        "8 white is zero": tiff((255 - RAMP).astype("u1"), 0, 8),
        "16": tiff(wide, 1, 16),
        "16 white is zero": tiff(65535 - wide, 0, 16),
        "12 in 16, and says so": tiff((RAMP * 16 + 15).astype("<u2"), 1, 16, 1, (281, 4095)),
    }
    for name, data in files.items():
        np.testing.assert_array_equal(read(data)[..., 0], RAMP, err_msg=name)


def test_a_tiff_of_12_bits_is_no_black_image() -> None:
    packed = packed_12_bits(RAMP * 16 + 15)
    data = bytearray(tiff(packed, 1, 12))
    data[10 + 4 + 4 : 10 + 4 + 8] = struct.pack("<I", RAMP.shape[1])  # the width in pixels, of the first tag
    np.testing.assert_array_equal(read(bytes(data))[..., 0], RAMP)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff((RAMP * 257 - 32768).astype("<i2"), 1, 16, 2), "signed pixels"),
        (tiff((RAMP - 128).astype("i1"), 1, 8, 2), "signed pixels"),
        (tiff(RAMP.astype("<i4"), 1, 32, 2), "signed pixels"),
        (tiff(RAMP.astype("<u4"), 1, 32, 1), "32-bit pixels"),
        (tiff((RAMP / 255).astype("<f4"), 1, 32, 3), "32-bit float"),
        (tiff(RAMP.astype("u1"), 1, 8, 1, (254, 1)), "holds only a preview"),
    ],
)
def test_tiffs_of_unknown_meaning_are_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


def test_a_tiff_palette_of_8_bit_values_is_not_black() -> None:
    image = Image.fromarray(np.repeat(RAMP.astype(np.uint8)[..., None], 3, 2)).quantize(64)
    data = bytearray(written(image, "TIFF"))
    with Image.open(io.BytesIO(data)) as stored:
        values = np.array(stored.tag_v2[320])
    at = data.index(values.astype("<u2").tobytes())
    data[at : at + 2 * len(values)] = (values // 256).astype("<u2").tobytes()
    np.testing.assert_array_equal(read(bytes(data)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("pgm", [True, False])
def test_netpbm(pgm: bool) -> None:
    if pgm:
        data = b"P5\n# a comment\n64 8\n65535\n" + (RAMP * 257).astype(">u2").tobytes()
        np.testing.assert_array_equal(read(data)[..., 0], RAMP)
    else:
        np.testing.assert_array_equal(read(written(IMAGE, "PPM")), np.asarray(IMAGE))


def test_grey_of_16_bits_with_a_transparent_value() -> None:
    wide = np.zeros((8, 8), ">u2")
    wide[:4] = 51400
    seen = read(png(wide.tobytes(), 8, 8, 16, 0, struct.pack(">H", 0)))
    assert (seen[:4] == 200).all()
    assert (seen[4:] == 255).all()


def test_colour_of_16_bits_with_a_transparent_colour_is_compared_in_all_bits() -> None:
    wide = np.full((4, 4, 3), 0x1234, ">u2")
    wide[:2] = 0x1235  # the same high byte, another colour
    seen = read(png(wide.tobytes(), 4, 4, 16, 2, struct.pack(">HHH", 0x1234, 0x1234, 0x1234)))
    assert (seen[:2] == 0x12).all()
    assert (seen[2:] == 255).all()


@pytest.mark.parametrize(("depth", "value", "shown"), [(1, 0, 255), (2, 1, 255), (4, 3, 255), (8, 200, 255)])
def test_grey_of_few_bits_with_a_transparent_value(depth: int, value: int, shown: int) -> None:
    per_byte = 8 // depth
    row = np.array([value if x % 2 else (1 << depth) - 1 for x in range(8)])
    packed = [sum(int(v) << (8 - depth * (i + 1)) for i, v in enumerate(part)) for part in row.reshape(-1, per_byte)]
    seen = read(png(bytes(packed) * 2, 8, 2, depth, 0, struct.pack(">H", value)))[..., 0]
    assert (seen[:, 1::2] == shown).all()  # transparent, on white
    assert (seen[:, ::2] == 255).all()
    opaque = read(png(bytes(packed) * 2, 8, 2, depth, 0))[..., 0]
    assert (opaque[:, 1::2] == value * 255 // ((1 << depth) - 1)).all()


def exchanging_profile() -> bytes:
    """sRGB's profile, name and all, with the primaries of red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[o : o + 4]): o for o in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "P with alpha"])
def test_a_profile_is_applied_in_every_mode_whatever_its_name(mode: str) -> None:
    colour = Image.new("RGB", (8, 8), (250, 10, 10))
    options: dict[str, object] = {}
    if mode.startswith("P"):
        colour = colour.quantize(2)
        options = {"transparency": b"\x80\x80"} if "alpha" in mode else {}
    elif mode == "RGBA":
        colour.putalpha(128)
    seen = read(written(colour, "PNG", icc_profile=exchanging_profile(), **options)).astype(int)[0, 0]
    on_white = (130, 252, 130) if mode in ("RGBA", "P with alpha") else (10, 250, 10)
    np.testing.assert_allclose(seen, on_white, atol=4)


def test_an_srgb_profile_changes_no_byte() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    renamed = profile.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    assert renamed != profile
    for one in (profile, renamed):
        np.testing.assert_array_equal(read(written(IMAGE, "PNG", icc_profile=one)), np.asarray(IMAGE))


def grey_profile(gamma: float) -> bytes:
    """A grey profile of version 2 with a plain gamma, after ICC.1:2001-04."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    text += bytes(-len(text) % 4)
    tags, body, at = b"", b"", 128 + 4 + 3 * 12
    for name, data in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        tags += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I", at + len(body)) + b"lcms" + b"\x02\x10\0\0" + b"mntrGRAYXYZ " + bytes(12) + b"acsp"
    head += bytes(128 - len(head))
    head = head[:68] + struct.pack(">iii", 63190, 65536, 54061) + head[80:]
    return head + struct.pack(">I", 3) + tags + body


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_with_a_grey_profile(mode: str) -> None:
    # Linear light: half of it is seen as 188, whatever the mode.
    value = 128
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), value << 8, np.uint16))
    else:
        image = Image.new("L", (8, 8), value)
        if mode == "LA":
            image.putalpha(255)
    assert image.mode == mode
    seen = read(written(image, "PNG", icc_profile=grey_profile(1.0)))
    np.testing.assert_allclose(seen.astype(int), 188, atol=2)


def test_a_colour_profile_on_a_grey_image_keeps_it_grey() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.fromarray(RAMP.astype(np.uint8))
    np.testing.assert_array_equal(read(written(grey, "PNG", icc_profile=profile))[..., 0], RAMP)


def odd_exif(orientation: int, order: str = "<") -> bytes:
    """An orientation, and a signed fraction with another kind's number that no writer takes back."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    first = struct.pack(f"{order}IHHHIHHHHIII", 8, 2, 0x112, 3, 1, orientation, 0, 0x8769, 4, 1, 38, 0)
    second = struct.pack(f"{order}HHHIII", 1, 0x9204, 10, 1, 56, 0) + struct.pack(f"{order}ii", -1, 0)
    return b"Exif\0\0" + mark + first + second


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_only_the_orientation_of_odd_exif_data_matters(kind: str, order: str) -> None:
    wide = IMAGE.crop((0, 0, 96, 48))
    plain = read(written(wide, kind, **({"lossless": True} if kind == "WEBP" else {})))
    options = {"lossless": True} if kind == "WEBP" else {}
    seen = read(written(wide, kind, exif=odd_exif(6, order), **options))
    np.testing.assert_array_equal(seen, np.rot90(plain, -1))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_undefined_orientation_is_ignored(orientation: int) -> None:
    seen = read(written(IMAGE, "JPEG", exif=odd_exif(orientation)))
    np.testing.assert_array_equal(seen, read(written(IMAGE, "JPEG")))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0XX", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_an_image_with_broken_exif_data_is_read(exif: bytes) -> None:
    assert read(written(IMAGE, "JPEG", exif=exif)).shape == (300, 400, 3)


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)] + b"\xff\xd9"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.75, 0.9, 0.97])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 7}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_is_cut_before_an_end_mark_is_truncated(
    mode: str, options: dict[str, object], share: float
) -> None:
    data = written(IMAGE.convert(mode), "JPEG", quality=90, **options)
    decode(data)
    with pytest.raises(ImageError, match="is truncated"):
        decode(cut(data, share))
    with pytest.raises(ImageError, match="is truncated"):
        decode_reduced(cut(data, share), lambda _w, _h: 2)


def test_a_download_that_was_filled_up_with_zeros_is_truncated() -> None:
    data = written(IMAGE, "JPEG", quality=90)
    half = data[: len(data) // 2]
    for ending in (bytes(len(data) // 2), bytes(len(data) // 2) + b"\xff\xd9"):
        with pytest.raises(ImageError, match="is truncated"):
            decode(half + ending)


def test_bytes_after_a_complete_jpeg_are_ignored() -> None:
    for options in ({}, {"progressive": True}):
        data = written(IMAGE, "JPEG", **options)
        np.testing.assert_array_equal(read(data + b"\0" * 500 + data), read(data))


def test_a_jpeg_with_a_grey_lower_half_is_complete() -> None:
    image = IMAGE.copy()
    image.paste((128, 128, 128), (0, 150, 400, 300))
    for options in ({}, {"progressive": True}):
        assert (read(written(image, "JPEG", **options))[-1] == 128).all()


def test_endings() -> None:
    plain = jpeg_end.ending_of(written(IMAGE, "JPEG"))
    assert plain is not None
    assert (plain.scans, plain.missing) == (1, False)
    whole = written(IMAGE, "JPEG", progressive=True)
    several = jpeg_end.ending_of(whole)
    assert several is not None
    assert several.scans > 4
    assert whole[several.end : several.end + 2] == b"\xff\xd9"
    for text in (b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", whole[:300], b"\xff\xd8\xff\xda\0\0\xff\xd9"):
        assert jpeg_end.ending_of(text) is None


def test_a_link_to_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="device"):
        read_bytes(tmp_path / "x.png")


def test_an_unsupported_image_format_is_named() -> None:
    with pytest.raises(ImageError, match=r"of the type Photoshop, which is not supported; convert it"):
        open_image(b"8BPS" + bytes(100))


def test_lab_colour() -> None:
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), (200, 60, 40)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    np.testing.assert_allclose(read(written(lab, "TIFF")).astype(int)[0, 0], (200, 60, 40), atol=4)


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heic")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = read(written(IMAGE, "HEIF", quality=95, exif=exif.tobytes())).astype(int)
    np.testing.assert_allclose(seen, np.rot90(np.asarray(IMAGE).astype(int), -1), atol=40)
    assert np.abs(seen - np.rot90(np.asarray(IMAGE).astype(int), -1)).mean() < 8
