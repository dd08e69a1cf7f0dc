"""How the server is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from facevalue.errors import UsageError
from facevalue.images.decoding import pixel_limit
from facevalue.marks import MarkReader
from facevalue.runtime import Predictor, open_folder
from facevalue.runtime.gate import GateChoice
from facevalue.runtime.scoring.engines import EngineChoice, Precision

AT_LEAST_ONE = (
    "max_body_bytes",
    "max_pixels",
    "max_files",
    "max_queue",
    "max_connections",
    "max_head_bytes",
    "max_memory_bytes",
    "workers",
)
ABOVE_ZERO = (
    "poll_seconds",
    "body_seconds",
    "request_seconds",
    "head_seconds",
    "keep_alive_seconds",
    "write_seconds",
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server listens, what it accepts, and what it tells.

    Attributes
    ----------
    host, port : where to listen; port 0 takes a free one.
    workers : processes that share the port. Each holds every model and watches for drift by itself.
    max_body_bytes : largest body of a request.
    max_memory_bytes : bodies held at a time, all requests together; others wait before theirs is read. The first 64 kB
        of a body do not count.
    max_pixels : most pixels of an image; larger ones are refused before they are decoded.
    max_files : most images in one request.
    max_queue : most images accepted and not yet answered; beyond that the answer is 503 with ``Retry-After``.
    max_connections : most open connections.
    max_head_bytes : largest request line and headers together.
    head_seconds : time for a request's head to arrive, from the connection's or the request's first byte.
    body_seconds : time for a request's body to arrive. While others wait for room, one that comes at less than 200
        kB/s is refused after 5 s.
    request_seconds : time from the whole body to the answer.
    write_seconds : a client that takes nothing of its answer for so long is cut off.
    keep_alive_seconds : how long an idle connection stays open. More than the load balancer in front keeps it.
    api_key : what clients must send as ``Authorization: Bearer KEY`` or ``X-API-Key``; ``None`` asks for none.
    cors_origins : origins whose pages may call the API; none by default.
    gate, gate_model, stable, engine, precision : see :func:`facevalue.runtime.open_folder`.
    trust_list : see :class:`facevalue.marks.MarkReader`.
    poll_seconds : how often to look whether a model folder was replaced.
    grace_seconds : how long requests under way may take after the server was told to stop.
    traces : send OpenTelemetry traces by OTLP over HTTP; the variables ``OTEL_…`` say where. Needs the extra ``otel``.
    log_format : ``plain`` lines, or one JSON object a line.
    log_level : ``debug``, ``info``, ``warning`` or ``error``.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    max_body_bytes: int = 20_000_000
    max_memory_bytes: int = 64_000_000
    max_pixels: int = 50_000_000
    max_files: int = 32
    max_queue: int = 256
    max_connections: int = 1000
    max_head_bytes: int = 32_768
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    request_seconds: float = 30.0
    write_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    api_key: str | None = None
    cors_origins: tuple[str, ...] = ()
    gate: GateChoice | None = None
    gate_model: str | None = None
    stable: int | None = None
    engine: EngineChoice = "onnxruntime"
    precision: Precision = "fp32"
    trust_list: str | None = None
    poll_seconds: float = 1.0
    grace_seconds: int = 10
    traces: bool = False
    log_format: Literal["plain", "json"] = "plain"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"Expected port from 0 to 65535, but got {self.port}")
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise UsageError(f"Expected {name} of at least 1, but got {getattr(self, name)}")
        for name in ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise UsageError(f"Expected {name} above 0, but got {getattr(self, name)}")
        if self.max_queue < self.max_files:
            raise UsageError(f"Expected max_queue of at least max_files ({self.max_files}), but got {self.max_queue}")
        if self.max_memory_bytes < self.max_body_bytes:
            raise UsageError(
                f"Expected max_memory_bytes of at least max_body_bytes ({self.max_body_bytes:,}), "
                f"but got {self.max_memory_bytes:,}"
            )
        if self.api_key is not None and not (self.api_key.isascii() and len(self.api_key) >= 8):
            raise UsageError("Expected api_key of at least 8 ASCII characters")
        if self.gate not in ("face", "none", None):
            raise UsageError(f"Expected gate to be face or none, but got {self.gate!r}")
        if self.engine not in ("onnxruntime", "openvino", "auto"):
            raise UsageError(f"Expected engine to be onnxruntime, openvino or auto, but got {self.engine!r}")
        if self.log_format not in ("plain", "json"):
            raise UsageError(f"Expected log_format plain or json, but got {self.log_format!r}")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise UsageError(f"Expected log_level debug, info, warning or error, but got {self.log_level!r}")

    def mark_reader(self) -> MarkReader:
        """What reads the marks of files where a request asks for them."""
        return MarkReader(self.trust_list)

    def opened(self, folder: Path) -> Predictor:
        """A model folder as this server uses it."""
        most = min(self.max_pixels, pixel_limit())
        return open_folder(
            folder,
            max_pixels=most,
            gate=self.gate,
            gate_model=self.gate_model,
            stable=self.stable,
            engine=self.engine,
            precision=self.precision,
        )
