"""What goes back: verdicts as JSON, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.responses import JSONResponse

from facevalue.verdict import Verdict


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with a 4xx or 5xx and the reason.

    Attributes
    ----------
    status : HTTP status.
    reason : one line that says what is wrong and what to do.
    extra : more keys of the JSON answer.
    """

    def __init__(self, status: int, reason: str, **extra: Any) -> None:
        super().__init__(reason)
        self.status, self.reason, self.extra = status, reason, extra


def refusal_response(refusal: Refusal) -> JSONResponse:
    """``{"error": reason, ...}`` with the refusal's status."""
    return JSONResponse({"error": refusal.reason, **refusal.extra}, refusal.status)


def verdict_as_json(verdict: Verdict, heat: bool) -> dict[str, Any]:
    """A verdict's plain values; with ``heat``, also the map as rows of numbers in [0, 1], or null."""
    plain = verdict.as_dict()
    if heat:
        plain["heat"] = None if verdict.heat is None else np.round(verdict.heat.astype(float), 3).tolist()
    return plain


def unreadable(verdicts: Sequence[Verdict]) -> Refusal:
    """The refusal of a request in which no picture can be read: 413 where all are too large, else 422."""
    first = verdicts[0]
    too_large = all(verdict.too_large for verdict in verdicts)
    return Refusal(
        413 if too_large else 422,
        f"the file {first.error}" if len(verdicts) == 1 else f"none of the {len(verdicts)} pictures can be read",
        path=first.path,
        results=[verdict.as_dict() for verdict in verdicts],
    )
