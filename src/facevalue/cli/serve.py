"""``facevalue serve``: uses only the runtime, without torch."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from facevalue.cli.common.options import Gate, GateModel, Stable, TrustList

EXAMPLE = "facevalue serve model --port 8000"


def run(
    models: Annotated[
        list[str],
        Argument(metavar="MODEL…", help="Model folders, or NAME=FOLDER; each may be replaced while the server runs."),
    ],
    host: Annotated[str, Option(metavar="NAME", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, Option(min=1, metavar="N", help="Processes; each holds every model.")] = 1,
    max_files: Annotated[int, Option(min=1, metavar="N", help="Most images in one request.")] = 32,
    max_body: Annotated[int, Option(min=1, metavar="MB", help="Largest request, in millions of bytes.")] = 20,
    max_pixels: Annotated[int, Option(min=1, metavar="N", help="Most pixels of an image.")] = 50_000_000,
    max_queue: Annotated[int, Option(min=1, metavar="N", help="Most images waiting; then the answer is 503.")] = 256,
    time_limit: Annotated[float, Option(min=0.1, metavar="SECONDS", help="Longest time for an answer.")] = 30.0,
    api_key_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Ask clients for the key in this file, or in $FACEVALUE_API_KEY."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, Option(metavar="ORIGIN", help="A site whose pages may call the API; may be repeated.")
    ] = None,
    gate: Gate = None,
    gate_model: GateModel = None,
    stable: Stable = None,
    engine: Annotated[
        Literal["onnxruntime", "openvino", "auto"],
        Option(help="What computes the network; auto is OpenVINO where it is installed."),
    ] = "onnxruntime",
    precision: Annotated[
        Literal["fp32", "bf16"], Option(help="bf16: with OpenVINO, if the card says that answers stay the same.")
    ] = "fp32",
    trust_list: TrustList = None,
    traces: Annotated[
        bool, Option("--traces", help="Send OpenTelemetry traces; OTEL_EXPORTER_OTLP_ENDPOINT says where.")
    ] = False,
    log_format: Annotated[Literal["plain", "json"], Option(help="Lines for people, or JSON.")] = "plain",
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Option(help="What is logged.")] = "info",
) -> None:
    """Serve predictions over HTTP, with a web page where you drop an image."""
    from facevalue.serve import run as serve_until_stopped
    from facevalue.serve.settings import Settings
    from facevalue.support import machine

    settings = Settings(
        host=host,
        port=port,
        workers=workers,
        max_files=max_files,
        max_body_bytes=max_body * 1_000_000,
        max_memory_bytes=max(max_body * 1_000_000, Settings().max_memory_bytes),
        max_pixels=max_pixels,
        max_queue=max(max_queue, max_files),
        request_seconds=time_limit,
        api_key=_api_key(api_key_file),
        cors_origins=tuple(cors_origin or ()),
        gate=gate,
        gate_model=None if gate_model is None else str(gate_model),
        stable=stable,
        engine=engine,
        precision=precision,
        trust_list=None if trust_list is None else str(trust_list),
        traces=traces,
        log_format=log_format,
        log_level=log_level,
    )
    machine.return_memory()
    logging.captureWarnings(True)  # into the server's log, in its format
    serve_until_stopped(models, settings)


def _api_key(file: Path | None) -> str | None:
    """The key in a file, without the newline at its end; else the environment's; else none is asked for."""
    from facevalue.errors import UsageError

    if file is None:
        return os.environ.get("FACEVALUE_API_KEY") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the API key cannot be read") from error
