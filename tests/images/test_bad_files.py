"""Any bytes give an image or an ImageError, and too large images are refused before they are decoded."""

import importlib.util
import io
import os
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facevalue.errors import ImageError, UsageError
from facevalue.images.decoding import MAX_PIXELS, decode, open_image, pixel_limit, read_bytes

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]


def written(kind: str) -> bytes:
    stream = io.BytesIO()
    NOISE.save(stream, kind)
    return stream.getvalue()


def empty_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size; its pixels are missing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def outcome(data: bytes) -> str:
    """``read`` or ``refused``; an image is RGB and not empty, and a reason is one line."""
    try:
        image = decode(data)
    except ImageError as error:
        reason = str(error)
        return "refused" if reason.strip() and "\n" not in reason else f"refused in other than one line: {reason!r}"
    assert image.mode == "RGB"
    assert min(image.size) > 0
    return "read"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file_is_an_image_error(kind: str) -> None:
    data = written(kind)
    cuts = sorted({int(x) for x in np.linspace(0, len(data) - 1, 60)})
    outcomes = [outcome(data[:cut]) for cut in cuts]
    assert outcomes[: len(cuts) // 2] == ["refused"] * (len(cuts) // 2)
    assert set(outcomes) <= {"read", "refused"}
    assert outcome(data) == "read"


def test_the_reason_says_that_a_file_is_truncated() -> None:
    for kind in ("JPEG", "PNG"):
        data = written(kind)
        with pytest.raises(ImageError, match="is truncated"):
            decode(data[: len(data) // 2])


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_changed_bytes_never_crash(kind: str, data: st.DataObject) -> None:
    mangled = bytearray(written(kind))
    places = st.lists(st.tuples(st.integers(0, len(mangled) - 1), st.integers(0, 255)), max_size=8)
    for place, value in data.draw(places):
        mangled[place] = value
    unchanged = bytes(mangled) == written(kind)
    assert outcome(bytes(mangled)) in (("read",) if unchanged else ("read", "refused"))


@given(st.binary(max_size=200), st.sampled_from([b"", *(written(f)[:24] for f in FORMATS)]))
def test_random_bytes_never_crash(tail: bytes, head: bytes) -> None:
    # A format's first bytes, then at most 200 random ones: too little for the header, the tables and the data.
    assert outcome(head + tail) == "refused"


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ImageError, match="is a pipe, not a file"):
        read_bytes(tmp_path / "x.png")


def test_a_pipe_from_the_shell_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"bytes")
    os.close(writing)
    try:
        assert read_bytes(Path(f"/dev/fd/{reading}")) == b"bytes"
    finally:
        os.close(reading)


def test_an_empty_file_and_another_kind_of_file() -> None:
    with pytest.raises(ImageError, match="empty"):
        decode(b"")
    with pytest.raises(ImageError, match="is a file of the type PDF, which is not supported"):
        decode(b"%PDF-1.7 and so on")


def test_a_format_that_is_not_listed_is_refused() -> None:
    stream = io.BytesIO()
    NOISE.save(stream, "PCX")
    with pytest.raises(ImageError, match="is a file of the type PCX, which is not supported"):
        decode(stream.getvalue())


def test_heic_without_its_plug_in_says_what_to_install() -> None:
    if importlib.util.find_spec("pillow_heif") is not None:
        pytest.skip("pillow-heif is installed")
    with pytest.raises(ImageError, match=r"pip install 'facevalue\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_bytes(tmp_path / "none.png")
    with pytest.raises(ImageError, match="Is a directory"):
        read_bytes(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(9460, 9460), (20_000, 20_000), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1)])
def test_more_pixels_than_allowed(width: int, height: int) -> None:
    with pytest.raises(ImageError, match=r"more than the 89,478,485 (pixels )?allowed|is damaged"):
        decode(empty_png(width, height))


def test_the_pixel_limit_is_checked_on_the_header() -> None:
    assert open_image(empty_png(9000, 9000)).size == (9000, 9000)
    with pytest.raises(ImageError, match="allowed"):
        decode(written("PNG"), max_pixels=40 * 30 - 1)
    assert decode(written("PNG"), max_pixels=40 * 30).size == (30, 40)


def test_the_environment_lowers_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEVALUE_MAX_PIXELS", "1000")
    assert pixel_limit() == 1000
    with pytest.raises(ImageError, match="more than the 1,000 allowed"):
        decode(written("PNG"))
    monkeypatch.setenv("FACEVALUE_MAX_PIXELS", str(10 * MAX_PIXELS))
    assert pixel_limit() == MAX_PIXELS
    monkeypatch.setenv("FACEVALUE_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="number of pixels"):
        pixel_limit()


def test_a_real_image_of_20000_by_20000_costs_no_memory(tmp_path: Path) -> None:
    # Decoded it would take 1.2 GB; the process may use half a gigabyte.
    big = tmp_path / "big.png"
    Image.new("1", (20_000, 20_000)).save(big)
    program = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from facevalue.images.decoding import decode\n"
        "from facevalue.errors import ImageError\n"
        "import PIL.PngImagePlugin\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    decode(Path(sys.argv[1]).read_bytes())\n"
        "except ImageError as error:\n"
        "    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(big)], capture_output=True, text=True, check=True)
    reason, more = run.stdout.splitlines()
    assert "20,000" in reason or "more than the 89,478,485" in reason
    assert int(more) * (1024 if sys.platform == "linux" else 1) < 30e6


def test_decoding_in_threads_leaves_the_warning_filters_alone() -> None:
    data = [written("PNG"), empty_png(9460, 9460)] * 50
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, data))
    assert outcomes == ["read", "refused"] * 50
    assert list(warnings.filters) == before
