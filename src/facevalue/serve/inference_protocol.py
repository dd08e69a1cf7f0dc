"""The Open Inference Protocol's requests and answers: JSON and binary tensors.

https://github.com/kserve/open-inference-protocol, and Triton's extension for binary tensors: the JSON, whose length is
in the header ``Inference-Header-Content-Length``, then each binary tensor's little-endian bytes in order. An element of
a BYTES tensor is its length as 4 bytes, then itself; in JSON, where bytes cannot be, it is base64.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.card import ModelCard
from facevalue.serve.answers import Refusal
from facevalue.serve.engine import Judged
from facevalue.serve.tensor_data import base64_files, numbers, packed_files

HEADER = "Inference-Header-Content-Length"
PIXELS, IMAGES = "pixels", "images"
DEFAULT_OUTPUTS = ("probabilities", "logits", "novelty", "label", "leaning", "reasons")

Values = NDArray[np.float32] | list[str]


class _TensorParameters(msgspec.Struct):
    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw()
    parameters: _TensorParameters | None = None


class _OutputParameters(msgspec.Struct):
    binary_data: bool | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: _OutputParameters | None = None


class _Parameters(msgspec.Struct):
    binary_data_output: bool = False


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _Parameters | None = None


# The data stay text until it is known how many values they should be, and parameters that mean nothing here are passed
# over: as Python's objects, a request can take twenty times its size.
_DECODER = msgspec.json.Decoder(_Request)
_LENGTH = re.compile(r"[0-9]{1,15}")


@final
class Asked(NamedTuple):
    """A request that was read.

    Attributes
    ----------
    images : files' bytes, or network inputs (s, s, 3) uint8.
    outputs : names and whether each goes back in binary.
    id : given back as it came.
    """

    images: Sequence[bytes | NDArray[np.uint8]]
    outputs: list[tuple[str, bool]]
    id: str | None


def inputs_of(card: ModelCard) -> list[dict[str, Any]]:
    """The inputs, of which a request has one: file bytes, or pixels that the client preprocessed."""
    side = card.preprocessing.size
    return [
        {"name": IMAGES, "datatype": "BYTES", "shape": [-1]},
        {"name": PIXELS, "datatype": "UINT8", "shape": [-1, side, side, 3]},
    ]


def outputs_of(card: ModelCard, has_heat: bool) -> list[dict[str, Any]]:
    """The outputs; ``heat`` only goes back where it is asked for."""
    k = len(card.classes)
    shapes = {"probabilities": [-1, k], "logits": [-1, k], "novelty": [-1]}
    known = [{"name": name, "datatype": "FP32", "shape": shape} for name, shape in shapes.items()]
    known += [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("label", "leaning", "reasons")]
    return [*known, {"name": "heat", "datatype": "FP32", "shape": [-1, -1, -1]}] if has_heat else known


def read_request(body: bytes, json_length: str | None, card: ModelCard, has_heat: bool, max_images: int) -> Asked:
    """Read a request's body.

    Parameters
    ----------
    json_length : the header :data:`HEADER`, where the request has it.

    Raises
    ------
    Refusal
        400 it is not as the protocol or the model wants it, 413 too many images.
    """
    text, rest = _parts(body, json_length)
    try:
        request = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"the body is no inference request: {error}") from error
    if len(request.inputs) != 1:
        raise Refusal(400, f"Expected one input, {IMAGES} or {PIXELS}, but got {len(request.inputs)}")
    tensor = request.inputs[0]
    raw, rest = _raw(tensor, rest)
    if rest:
        raise Refusal(400, f"{len(rest):,} bytes are left after the last binary tensor")
    known = [output["name"] for output in outputs_of(card, has_heat)]
    return Asked(_images(tensor, raw, card, max_images), _asked_outputs(request, known), request.id)


def write_answer(
    answers: Sequence[Judged], asked: Asked, identity: Mapping[str, str], classes: int
) -> tuple[bytes, dict[str, str]]:
    """The answer's body and headers.

    Parameters
    ----------
    classes : their number.
    """
    outputs, blobs = [], []
    for name, binary in asked.outputs:
        values = _values(name, answers, classes)
        shape = [len(values)] if isinstance(values, list) else list(values.shape)
        output: dict[str, Any] = {
            "name": name,
            "datatype": "BYTES" if isinstance(values, list) else "FP32",
            "shape": shape,
        }
        if binary:
            blob = _packed(values)
            blobs.append(blob)
            output["parameters"] = {"binary_data_size": len(blob)}
        else:
            # The protocol's data is flat in row-major order.
            output["data"] = values if isinstance(values, list) else values.ravel().tolist()
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": identity["name"], "model_version": identity["version"], "outputs": outputs}
    if asked.id is not None:
        answer["id"] = asked.id
    text = msgspec.json.encode(answer)
    if not blobs:
        return text, {"Content-Type": "application/json"}
    return text + b"".join(blobs), {"Content-Type": "application/octet-stream", HEADER: str(len(text))}


def _parts(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    if json_length is None:
        return body, b""
    if not _LENGTH.fullmatch(json_length) or int(json_length) > len(body):
        raise Refusal(400, f"{HEADER} should be a length within the body of {len(body):,} bytes")
    return body[: int(json_length)], body[int(json_length) :]


def _raw(tensor: _Tensor, rest: bytes) -> tuple[bytes | None, bytes]:
    """A tensor's binary data, where it has some, and what is left of the body."""
    size = None if tensor.parameters is None else tensor.parameters.binary_data_size
    if size is None:
        return None, rest
    if size > len(rest):
        raise Refusal(400, f"binary_data_size of {tensor.name[:64]} is more than the {len(rest):,} bytes in the body")
    if _text(tensor) != b"null":
        raise Refusal(400, f"{tensor.name[:64]} has data both in the JSON and in binary")
    return rest[:size], rest[size:]


def _images(
    tensor: _Tensor, raw: bytes | None, card: ModelCard, max_images: int
) -> Sequence[bytes | NDArray[np.uint8]]:
    side = card.preprocessing.size
    if raw is None and not _text(tensor).startswith(b"["):
        raise Refusal(400, f"{tensor.name[:64]} has no data")
    if any(n < 0 for n in tensor.shape) or len(tensor.shape) > 8:
        raise Refusal(400, f"the shape {tensor.shape[:8]} of {tensor.name[:64]} is none")
    n = tensor.shape[0] if tensor.shape else 0
    if (tensor.name, tensor.datatype) == (IMAGES, "BYTES"):
        if math.prod(tensor.shape) != n or n == 0:
            raise Refusal(400, f"Expected {IMAGES} of shape [n], but got {tensor.shape}")
        _check_count(n, max_images)
        found = base64_files(IMAGES, _text(tensor), n) if raw is None else packed_files(IMAGES, raw, n)
        if len(found) != n:
            raise Refusal(400, f"{IMAGES} has the shape {tensor.shape} but {len(found)} elements")
        return found
    if (tensor.name, tensor.datatype) == (PIXELS, "UINT8"):
        if n == 0 or tensor.shape[1:] != [side, side, 3]:
            raise Refusal(400, f"Expected {PIXELS} of shape [n, {side}, {side}, 3], but got {tensor.shape}")
        _check_count(n, max_images)
        flat = numbers(PIXELS, _text(tensor), tensor.shape) if raw is None else np.frombuffer(raw, np.uint8)
        if flat.size != math.prod(tensor.shape):
            raise Refusal(400, f"{PIXELS} has the shape {tensor.shape} but {flat.size} values")
        return list(flat.reshape(tensor.shape))
    raise Refusal(
        400,
        f"Expected the input {IMAGES} (BYTES) or {PIXELS} (UINT8), "
        f"but got {tensor.name[:64]!r} ({tensor.datatype[:16]})",
    )


def _check_count(n: int, most: int) -> None:
    if n > most:
        raise Refusal(413, f"more than the {most} images allowed in one request")


def _text(tensor: _Tensor) -> bytes:
    """The data's JSON."""
    return bytes(tensor.data).strip() or b"null"


def _asked_outputs(request: _Request, known: Sequence[str]) -> list[tuple[str, bool]]:
    by_default = request.parameters is not None and request.parameters.binary_data_output
    if not request.outputs:
        return [(name, by_default) for name in DEFAULT_OUTPUTS]
    asked: list[tuple[str, bool]] = []
    for output in request.outputs:
        if output.name not in known:
            raise Refusal(400, f"there is no output {output.name[:64]!r}; there are {', '.join(known)}")
        if output.name in [name for name, _ in asked]:
            raise Refusal(400, f"the output {output.name} is asked for twice")
        binary = None if output.parameters is None else output.parameters.binary_data
        asked.append((output.name, by_default if binary is None else binary))
    return asked


def _values(name: str, answers: Sequence[Judged], classes: int) -> Values:
    if name == "label":
        return [answer.prediction.label or "" for answer in answers]
    if name == "leaning":
        return [answer.prediction.leaning or "" for answer in answers]
    if name == "reasons":
        return [" ".join(answer.prediction.reasons) for answer in answers]
    rows = [answer.prediction.heat if name == "heat" else answer.outputs.get(name) for answer in answers]
    shapes = {"heat": (1, 1), "novelty": ()}
    shape = next((row.shape for row in rows if row is not None), shapes.get(name, (classes,)))
    # The network was not asked about images without a face.
    return np.stack([np.full(shape, np.nan, np.float32) if row is None else row for row in rows])


def _packed(values: Values) -> bytes:
    if isinstance(values, list):
        encoded = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(item)) + item for item in encoded)
    return values.astype("<f4").tobytes()
