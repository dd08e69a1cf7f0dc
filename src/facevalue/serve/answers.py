"""What goes back: predictions as JSON, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.responses import JSONResponse

from facevalue.types import Prediction


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
