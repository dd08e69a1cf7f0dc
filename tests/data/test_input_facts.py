from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facevalue.data.input_facts import detail, jpeg_quality


def saved(kind: str, **options: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
def test_jpeg_quality(quality: int) -> None:
    assert jpeg_quality(saved("JPEG", quality=quality)) == quality


def test_other_files_have_none() -> None:
    assert jpeg_quality(saved("PNG")) == jpeg_quality(b"") == jpeg_quality(b"text") == 0
    assert jpeg_quality(saved("JPEG")[:30]) == jpeg_quality(b"\xff\xd8\xff" + bytes(100)) == 0


def test_detail() -> None:
    """Of a checkerboard each difference is known; blur lowers detail, and a ramp has none."""
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 10
    assert detail(board) == 20.5
    ramp = np.broadcast_to(np.arange(9, dtype=np.uint8)[:, None, None], (9, 9, 3))
    assert detail(np.ascontiguousarray(ramp)) == 0.5
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    blurred = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)))
    assert detail(noise) > 5 * detail(blurred)
