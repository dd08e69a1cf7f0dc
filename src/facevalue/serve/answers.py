"""What goes back: predictions as JSON, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from starlette.responses import Response

from facevalue.types import Prediction

_ENCODER = msgspec.json.Encoder()


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with a 4xx or 5xx and the reason.

    Attributes
    ----------
    status : HTTP status.
    reason : one line that says what is wrong and what to do.
    retry_after : seconds after which the client may try again.
    close : whether the connection is closed, because what is left of the request is not read.
    extra : more keys of the JSON answer.
    """

    def __init__(
        self, status: int, reason: str, *, retry_after: int | None = None, close: bool = False, **extra: Any
    ) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry_after, self.close, self.extra = status, reason, retry_after, close, extra


class Json(Response):
    """Plain values as compact JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Bytes of the JSON text."""
        return _ENCODER.encode(content)


def refusal_response(refusal: Refusal) -> Json:
    """``{"error": reason, ...}`` with the refusal's status."""
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.close:
        headers["Connection"] = "close"
    return Json({"error": refusal.reason, **refusal.extra}, refusal.status, headers)


def prediction_as_json(prediction: Prediction, heat: bool) -> dict[str, Any]:
    """A prediction's plain values; with ``heat``, also the map as rows of numbers in [0, 1], or null."""
    plain = prediction.to_dict()
    if heat:
        plain["heat"] = None if prediction.heat is None else np.round(prediction.heat.astype(float), 3).tolist()
    return plain


def unreadable(predictions: Sequence[Prediction]) -> Refusal:
    """The refusal of a request in which no image can be read: 413 where all are too large, else 422."""
    first = predictions[0]
    too_large = all(prediction.too_large for prediction in predictions)
    return Refusal(
        413 if too_large else 422,
        f"the file {first.error}" if len(predictions) == 1 else f"none of the {len(predictions)} images can be read",
        path=first.path,
        results=[prediction.to_dict() for prediction in predictions],
    )
