"""How the server logs: to standard error, as lines or as JSON, never with what is in an image."""

from __future__ import annotations

import logging
import logging.config
from datetime import UTC, datetime
from typing import Any, Literal, final

import msgspec

LOGGERS = ("uvicorn", "facevalue", "asyncio", "opentelemetry", "py.warnings")
"""Whose lines are the server's: with JSON, no other kind of line may come between."""


@final
class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, then the facts or ``message``, and ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        facts = getattr(record, "facts", None)
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **({"message": record.getMessage()} if facts is None else {"message": "request", **facts}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if hasattr(record, "request_id"):
            told["request_id"] = record.request_id
        return msgspec.json.encode(told, enc_hook=str).decode()


def set_up(log_format: Literal["plain", "json"], level: str) -> None:
    """Configure the loggers of this process: standard error only, since standard output is for results."""
    formatter: dict[str, Any] = {"format": "%(asctime)s %(levelname)s %(message)s"}
    if log_format == "json":
        formatter = {"()": JsonFormatter}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"chosen": formatter},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "chosen", "stream": "ext://sys.stderr"}
            },
            "loggers": {name: {"handlers": ["stderr"], "level": level.upper(), "propagate": False} for name in LOGGERS},
        }
    )
