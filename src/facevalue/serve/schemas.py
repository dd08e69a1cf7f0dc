"""The shapes of all answers, for the OpenAPI document. A test holds the answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from facevalue.marks.record import Kind, State
from facevalue.marks.source_types import Says


class Shape(BaseModel):
    """Base of all shapes: nothing else is in an answer."""

    model_config = ConfigDict(extra="forbid")


class ModelIdentity(Shape):
    """Which model answered."""

    name: str = Field(description="The name that the server gives it.")
    version: str = Field(description="12 hexadecimal digits. They change when the model's answers may change.")
    sha256: str = Field(description="SHA-256 of model.onnx.")


class CredentialsShape(Shape):
    """Content Credentials (C2PA): what somebody signed."""

    state: State = Field(
        description="none; valid: unchanged since somebody signed it; trusted: and the trust list names the signer; "
        "invalid: changed after signing, or a bad certificate; unreadable: damaged; not_checked: see detail."
    )
    signer: str | None = Field(description="Common name in the signing certificate.")
    issuer: str | None = Field(description="Organisation in the signing certificate.")
    time: str | None = Field(description="When it was signed, if a time stamp says so.")
    generator: str | None = Field(description="Programs that made the manifest and the image.")
    source_types: list[str] = Field(description="IPTC digital source types, such as trainedAlgorithmicMedia.")
    ingredient_source_types: list[str] = Field(description="The same, of images that this one was made from.")
    problems: list[str] = Field(description="C2PA's codes of what does not hold.")
    detail: str | None = Field(description="Why they were not checked, or are unreadable.")


class UnsignedMarkShape(Shape):
    """A mark without a signature: anyone could have written it."""

    kind: Kind
    text: str = Field(description="What the file says.")
    where: str = Field(description="In which part of the file.")
    tool: str | None = Field(description="The image generator that writes such a mark, if it is known.")
    says: Says | None = Field(description="The kind of origin that the mark claims, if it does.")


class MarksShape(Shape):
    """What a file says of its own origin. Absence proves nothing."""

    credentials: CredentialsShape
    unsigned: list[UnsignedMarkShape]
    says_ai: bool = Field(description="Whether a mark claims that a generative AI made the image or parts of it.")


class PredictionRow(Shape):
    """The prediction on one image."""

    path: str | None = Field(description="The file's name, as the client gave it.")
    label: str | None = Field(description="The class; null where the model abstains or the file cannot be read.")
    probabilities: dict[str, float] = Field(
        description="Calibrated, by class; they sum to 1. Empty beside an error, and where there is no face."
    )
    abstained: bool
    reasons: list[str] = Field(
        description="Why the model abstains: novel, unknown_source, uncertain, unstable, no_face, gate_unsure."
    )
    leaning: str | None = Field(description="The class that the model leans to where it abstains, else the label.")
    threshold: float | None = Field(description="Probability of the positive class from which it is the label.")
    novelty: float | None = Field(description="Distance from the training images; above 1 the image is novel.")
    error: str | None = Field(description="Why the file is no readable image.")
    face: int | None = Field(description="Number of the face in its image, the largest is 0.")
    faces: int | None = Field(description="Faces in the image; null if the model does not look for faces.")
    box: list[int] | None = Field(
        description="Left, top, width and height of the face in pixels of the upright image.",
        min_length=4,
        max_length=4,
    )
    detail: str | None = Field(description="What the face gate says where it abstains, in words.")
    marks: MarksShape | None = Field(
        default=None, description="With marks=true: what the file says of its origin. Not part of the probabilities."
    )
    heat: list[list[float]] | None = Field(
        default=None, description="With heat=true: rows of numbers in [0, 1] over the network input, or null."
    )


class PredictAnswer(Shape):
    """One row per image, in order; with faces=all one per face."""

    model: ModelIdentity
    results: list[PredictionRow]


class Error(BaseModel):
    """Why a request is refused."""

    error: str
    path: str | None = None
    results: list[PredictionRow] | None = None


class Live(Shape):
    """The process answers."""

    live: bool


class DriftAlarm(Shape):
    """One alarm."""

    statistic: str = Field(description="novelty, confidence, detail or jpeg_quality: which moved.")
    change: str = Field(description="Where to: more novel, less confident, and so on.")
    image: int = Field(description="How many images had been seen.")


class AccuracyEstimateShape(Shape):
    """An estimate of accuracy without labels. It is no measurement: a change moves it less than the accuracy."""

    value: float | None = Field(description="In [0, 1]; null before the first image.")
    method: str = Field(description="average confidence: the mean calibrated probability of the predicted class.")
    images: int = Field(description="The latest images, that it is of.")


class DriftState(Shape):
    """Whether traffic is still like the calibration images."""

    alarm: bool
    statistic: str | None = Field(description="Of the first alarm; null without one.")
    change: str | None = Field(description="Of the first alarm.")
    alarm_after_images: int | None = Field(description="Of the first alarm.")
    alarms: list[DriftAlarm] = Field(description="All alarms, the first one first; at most one a statistic.")
    images: int = Field(description="Images seen since the model was taken in, an image sent again counted once.")
    repeated: int = Field(description="Images that were sent again and not counted.")
    wealth: float = Field(description="Evidence of drift, the largest of a statistic; 1 at the start.")
    alarm_at: float
    accuracy_estimate: AccuracyEstimateShape
    reference: str = Field(description="calibration, or stream where the card has no scores to compare with.")
    reference_images: int


class ModelState(Shape):
    """How one model is doing."""

    ready: bool
    version: str | None = Field(description="The version that is served; null where none could be loaded.")
    detail: str | None = Field(description="Why the newest files could not be loaded; null where they are served.")
    drift: DriftState | None


class Ready(Shape):
    """Whether every model is served."""

    ready: bool
    detail: str | None
    models: dict[str, ModelState]


class ModelList(Shape):
    """All models of this server; the first is the one that /predict asks."""

    models: list[ModelIdentity]


class ServerMetadata(Shape):
    """Open Inference Protocol: the server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Shape):
    """Open Inference Protocol: an input or output."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Shape):
    """Open Inference Protocol: a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(Shape):
    """Open Inference Protocol: whether a model answers."""

    name: str
    ready: bool


class RequestTensor(BaseModel):
    """Open Inference Protocol: an input, with its data here or after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class RequestOutput(BaseModel):
    """Open Inference Protocol: an output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    """Open Inference Protocol: a request."""

    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[RequestTensor] = Field(min_length=1, max_length=1, description="images or pixels.")
    outputs: list[RequestOutput] | None = None


class ResponseTensor(Shape):
    """Open Inference Protocol: an output."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class InferAnswer(Shape):
    """Open Inference Protocol: an answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseTensor]


_WHEN = {
    400: "The request cannot be read.",
    401: "The API key is missing or wrong.",
    404: "There is no such model, version or file.",
    405: "Another method is wanted.",
    408: "The request's body took too long.",
    413: "The body, an image or the number of images is too large.",
    415: "Another kind of body is wanted.",
    422: "There is no readable image in the request, or a parameter is wrong.",
    500: "The server failed; the log says more under the request's id.",
    503: "No model is loaded, or the server is busy: try again after `Retry-After` seconds.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: each status with its meaning, and :class:`Error` as JSON."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"content": content, "description": _WHEN[status]} for status in sorted({401, 405, 500, *statuses})}


def completed(document: dict[str, Any], names: Sequence[str], has_key: bool) -> dict[str, Any]:
    """An OpenAPI document with what FastAPI does not see: shapes that routes refer to, model names, the API key."""
    shapes = document["components"]["schemas"]
    for model in (Error, InferRequest):
        shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
        shapes.update(shape.pop("$defs", {}))
        shapes[model.__name__] = shape
    for methods in document["paths"].values():
        for operation in methods.values():
            # FastAPI gives every route with parameters an answer 422 of a shape of its own, unless the route has one.
            # Here only query parameters can be wrong, and routes with those have one.
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "name":
                    parameter["schema"]["examples"] = list(names)
    shapes.pop("HTTPValidationError", None)
    shapes.pop("ValidationError", None)
    document["components"]["schemas"] = dict(sorted(shapes.items()))
    if has_key:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, methods in document["paths"].items():
            for operation in methods.values():
                if not path.startswith("/v2/health"):
                    operation["security"] = [{"bearer": []}, {"key": []}]
    return document
