"""How the server is set up."""

from __future__ import annotations

from typing import Literal

import msgspec

from facevalue.errors import UsageError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server listens and what it accepts.

    Attributes
    ----------
    host, port : where to listen; port 0 takes a free one.
    max_body_bytes : largest body of a request.
    max_pixels : most pixels of an image; larger ones are refused before they are decoded.
    max_files : most images in one request.
    gate : what must be in an image before it is judged: ``none``.
    poll_seconds : how often to look whether the model folder was replaced.
    grace_seconds : how long requests under way may take after the server was told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_files: int = 32
    gate: Literal["none"] = "none"
    poll_seconds: float = 1.0
    grace_seconds: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"Expected port from 0 to 65535, but got {self.port}")
        for name in ("max_body_bytes", "max_pixels", "max_files"):
            if getattr(self, name) < 1:
                raise UsageError(f"Expected {name} of at least 1, but got {getattr(self, name)}")
        if self.gate != "none":
            raise UsageError(f"Expected gate to be none, but got {self.gate!r}")
