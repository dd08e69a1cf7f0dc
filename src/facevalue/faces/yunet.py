"""YuNet, a small face detector (Wu et al. 2023, doi:10.1007/s11633-023-1423-y), in plain ONNX Runtime.

The same boxes and landmarks as OpenCV's ``FaceDetectorYN`` on the same pixels (a test compares them), so that the
runtime needs no OpenCV. The network has three grids of cells, 8, 16 and 32 pixels wide; each cell says whether a face
is there, and where its box and its five landmarks lie relative to the cell.
"""

from __future__ import annotations

from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import UsageError
from facevalue.support.onnx_runtime import onnxruntime

STRIDES = (8, 16, 32)
"""Cell sizes of the three grids in pixels. Both sides of the input are a multiple of the largest."""

LANDMARKS = ("right eye", "left eye", "nose", "right mouth corner", "left mouth corner")
"""Right and left are the person's own: in an upright image the right eye is on the left."""

OVERLAP = 0.3
"""Of two boxes with a larger intersection over union, only the one with the higher score is kept."""

_MOST = 5000  # candidates that are compared with each other, as in OpenCV
_KINDS = ("cls", "obj", "bbox", "kps")
_HEADS = tuple(f"{kind}_{stride}" for kind in _KINDS for stride in STRIDES)

Floats = NDArray[np.float32]


@final
class Detections(NamedTuple):
    """Faces in an image, the highest score first.

    Attributes
    ----------
    boxes : (n, 4) left, top, width and height in pixels; a box may reach out of the image.
    landmarks : (n, 5, 2) x and y of :data:`LANDMARKS`.
    scores : (n,) in [0, 1].
    """

    boxes: Floats
    landmarks: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> Detections:
        """The detections at these positions."""
        return Detections(self.boxes[places], self.landmarks[places], self.scores[places])

    def scaled(self, x: float, y: float) -> Detections:
        """The same in an image that is ``x`` times as wide and ``y`` times as high."""
        by = np.array([x, y], np.float32)
        return Detections(self.boxes * np.tile(by, 2), self.landmarks * by, self.scores)


@final
class YuNet:
    """The detector. Thread-safe: one session for all threads, one thread for each call.

    Parameters
    ----------
    model : the contents of a file of YuNet that takes images of any size: ``face_detection_yunet_2026may.onnx``.
    name : of the file, for messages.

    Raises
    ------
    UsageError
        ONNX Runtime cannot read ``model``, or it is another network.
    """

    def __init__(self, model: bytes, name: str = "the face detector") -> None:
        self.model = model
        self._session = _session(model, name)

    def __reduce__(self) -> tuple[type[YuNet], tuple[bytes]]:
        return YuNet, (self.model,)  # a session cannot be sent to another process

    def detect(self, pixels: NDArray[np.uint8], score: float) -> Detections:
        """Faces with at least this score.

        Parameters
        ----------
        pixels : (h, w, 3) uint8 RGB. The network finds faces of 10 to 300 pixels; larger ones need a smaller image.
        score : in (0, 1].
        """
        height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in pixels.shape[:2])
        x = np.zeros((1, 3, height, width), np.float32)
        x[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels[..., ::-1].transpose(2, 0, 1)  # it was trained on BGR
        outputs = dict(zip(_HEADS, self._session.run(_HEADS, {"input": x}), strict=True))
        parts = []
        for stride in STRIDES:
            cls, obj, bbox, kps = (outputs[f"{kind}_{stride}"][0] for kind in _KINDS)
            parts.append(_decoded(_Grid(cls, obj, bbox, kps, stride, width // stride), score))
        return suppressed(Detections(*(np.concatenate(columns) for columns in zip(*parts, strict=True))))


class _Grid(NamedTuple):
    """The network's outputs for one grid.

    Attributes
    ----------
    cls, obj : (cells, 1) how sure the network is that this is a face, and that anything is here.
    bbox : (cells, 4) centre relative to the cell, and logarithm of width and height, in cells.
    kps : (cells, 10) landmarks relative to the cell, in cells.
    stride : side of a cell in pixels.
    columns : cells in a row.
    """

    cls: Floats
    obj: Floats
    bbox: Floats
    kps: Floats
    stride: int
    columns: int


def _decoded(grid: _Grid, score: float) -> Detections:
    """The faces of one grid with at least this score."""
    scores = np.sqrt(np.clip(grid.cls[:, 0], 0, 1) * np.clip(grid.obj[:, 0], 0, 1))
    chosen = np.flatnonzero(scores >= score)
    row, column = np.divmod(chosen, grid.columns)
    corner = np.stack([column, row], axis=1).astype(np.float32)
    centre = (corner + grid.bbox[chosen, :2]) * grid.stride
    size = np.exp(grid.bbox[chosen, 2:]) * grid.stride
    landmarks = (grid.kps[chosen].reshape(-1, 5, 2) + corner[:, None]) * grid.stride
    boxes = np.concatenate([centre - size / 2, size], axis=1)
    return Detections(boxes.astype(np.float32), landmarks.astype(np.float32), scores[chosen].astype(np.float32))


def suppressed(found: Detections) -> Detections:
    """Without faces that overlap one with a higher score by more than :data:`OVERLAP`; the highest score first."""
    # Whole pixels, rounded towards zero, as OpenCV compares them.
    boxes = np.trunc(found.boxes).astype(np.int64)
    order = np.argsort(-found.scores, kind="stable")[:_MOST]
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[_overlap(boxes[best], boxes[order]) <= OVERLAP]
    return found.take(np.array(kept, np.intp))


def _overlap(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) intersection over union of a box with others."""
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.clip(right_bottom - left_top, 0, None), axis=1).astype(np.float64)
    union = np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - shared
    share: NDArray[np.float64] = np.divide(shared, union, out=np.ones_like(shared), where=union > 0)
    return share


def _session(model: bytes, name: str) -> Any:
    package = onnxruntime()
    options = package.SessionOptions()
    # Several images at a time are the faster way to use several processors: the network is small.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are reported below, in one line
    try:
        session = package.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but Exception
        raise UsageError(f"{name} cannot be run: {' '.join(str(error).split())[:200]}") from error
    inputs = session.get_inputs()
    fixed = any(isinstance(side, int) for side in inputs[0].shape[2:])
    if [i.name for i in inputs] != ["input"] or not set(_HEADS) <= {o.name for o in session.get_outputs()} or fixed:
        raise UsageError(f"{name} is not YuNet for images of any size (face_detection_yunet_2026may.onnx)")
    return session
