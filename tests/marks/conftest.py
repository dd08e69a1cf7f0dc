from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .signing import MIMES, Authority, authority, manifest


def drawn(format_: str, **extra: object) -> bytes:
    """A smooth image as a file, with metadata as Pillow's writers take them."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((96, 96)).save(stream, format_, **extra)
    return stream.getvalue()


def exif(**tags: object) -> bytes:
    """EXIF data with these tags."""
    names = {"make": 0x10F, "model": 0x110, "software": 0x131, "description": 0x10E}
    made = Image.Exif()
    for name, value in tags.items():
        if name == "comment":
            made.get_ifd(0x8769)[0x9286] = value
        else:
            made[names[name]] = value
    found: bytes = made.tobytes()
    return found


@pytest.fixture(scope="session")
def signer() -> Authority:
    return authority("Own")


@pytest.fixture(scope="session")
def trust_list(signer: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "own.pem"
    path.write_bytes(signer.root)
    return path


@pytest.fixture(scope="session")
def foreign_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "foreign.pem"
    path.write_bytes(authority("Foreign").root)
    return path


@pytest.fixture(scope="session")
def signed(signer: Authority) -> dict[str, bytes]:
    """A signed file of each format."""
    return {name: signer.sign(drawn(name), mime, manifest()) for name, mime in MIMES.items()}
