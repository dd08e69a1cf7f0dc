"""The face gate: which faces an image shows, and whether a model may answer for them. All verbs use this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.evidence.gate_facts import GateFacts
from facevalue.faces.geometry import roll_of, turn_of
from facevalue.faces.yunet import Detections, YuNet, suppressed
from facevalue.images.face_crop import FaceBox, square_around
from facevalue.images.resize import thumbnail

GateReason = Literal["no_face", "gate_unsure"]
WhichFaces = Literal["largest", "all"]

NO_FACE = "no face was found"

# The look at one face, turned four ways: margin around it, longer side of the crop, lowest score that counts, and by
# how much the score of a turned face must be higher.
_AROUND, _CROP, _LOW, _SURER = 0.5, 128, 0.05, 0.01


@final
class Seen(NamedTuple):
    """A face, or that there is none.

    Attributes
    ----------
    box : of the face, inside the image; ``None`` if there is no face.
    face : its number in this image, the largest is 0; ``None`` if there is none.
    faces : how many faces the image shows.
    reason : why it is not answered for; ``None`` if it is.
    detail : the same in words, for people.
    """

    box: FaceBox | None
    face: int | None
    faces: int
    reason: GateReason | None = None
    detail: str | None = None


@final
class FaceGate:
    """Looks for faces in images. Thread-safe, does not change.

    Parameters
    ----------
    facts : the limits.
    detector : the one that ``facts`` names.
    """

    def __init__(self, facts: GateFacts, detector: YuNet) -> None:
        self.facts = facts
        self.detector = detector

    def __deepcopy__(self, _memo: object) -> FaceGate:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return FaceGate, (self.facts, self.detector)

    def look(self, image: Image.Image, which: WhichFaces = "largest") -> tuple[Seen, ...]:
        """The largest face, or each face from the largest on; one row also where there is none.

        Parameters
        ----------
        image : upright, RGB.
        """
        found = self.detections(image, every=which == "all")
        sure = found.take(found.scores >= self.facts.sure)
        if len(sure):
            return self._judged(image, sure, which)
        turned = self._found_turned(image)
        if turned is not None:
            return (turned,)
        if len(found):  # the likeliest one, so that a person can see what is in doubt
            return (Seen(inside(found.boxes[0], image.size), 0, 1, "gate_unsure", self._faint(float(found.scores[0]))),)
        return (Seen(None, None, 0, "no_face", NO_FACE),)

    def detections(self, image: Image.Image, every: bool = False) -> Detections:
        """What may be a face, in pixels of ``image``, the highest score first.

        Parameters
        ----------
        every : look at every scale, so that small faces are found beside large ones; by default the first scale at
            which a face is sure decides, which is faster.
        """
        parts: list[Detections] = []
        looked: set[tuple[int, int]] = set()
        base = self._base(image)
        for longest in self.facts.longest:
            small = thumbnail(base, longest, Image.Resampling.BILINEAR)
            if small.size in looked:
                continue
            looked.add(small.size)
            found = self.detector.detect(np.asarray(small), self.facts.doubt)
            parts.append(found.scaled(image.width / small.width, image.height / small.height))
            if not every and len(found) and found.scores[0] >= self.facts.sure:
                return parts[-1]
        return suppressed(Detections(*(np.concatenate(columns) for columns in zip(*parts, strict=True))))

    def _base(self, image: Image.Image) -> Image.Image:
        """The image at the largest scale, from which the others are made: a photograph is scaled down only once."""
        return thumbnail(image, max(self.facts.longest), Image.Resampling.BILINEAR)

    def _judged(self, image: Image.Image, sure: Detections, which: WhichFaces) -> tuple[Seen, ...]:
        areas = sure.boxes[:, 2] * sure.boxes[:, 3]
        order = np.argsort(-areas, kind="stable")
        sure, areas, n = sure.take(order), areas[order], len(sure)
        rivals = which == "largest" and n > 1 and float(areas[1]) >= self.facts.rival * float(areas[0])
        seen = []
        for i in range(n if which == "all" else 1):
            box = inside(sure.boxes[i], image.size)
            detail = self._doubt(sure.boxes[i], sure.landmarks[i]) or _lies(self._quarter_turns(image, box))
            if detail is None and rivals:
                detail = f"several: there are {n} faces, and the second is nearly as large as the largest"
            seen.append(Seen(box, i, n, None if detail is None else "gate_unsure", detail))
        return tuple(seen)

    def _doubt(self, box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> str | None:
        """Why a face is not answered for, in words."""
        facts, side = self.facts, float(box[2:].min())
        if side < facts.smallest:
            return f"small: the face has {side:.0f} pixels, at least {facts.smallest} are needed"
        if turn_of(landmarks) > facts.turn:
            return "turned: the face looks too far to a side, up or down"
        roll = abs(roll_of(landmarks))
        if roll > facts.roll:
            return f"turned: the face is tilted by {roll:.0f} degrees, at most {facts.roll:.0f} are allowed"
        return None

    def _faint(self, score: float) -> str:
        return (
            f"covered or faint: what may be a face has a score of {score:.2f}, at least {self.facts.sure:g} is needed"
        )

    def _quarter_turns(self, image: Image.Image, box: FaceBox) -> int:
        """How many quarter turns counterclockwise make the face likelier: 0 if it is upright.

        The detector also finds faces that are upside down, and then places the landmarks as if they were upright. But
        it is surer of the upright face: see ``benchmarks/face_gate.py``.
        """
        crop = thumbnail(image.crop(square_around(box, _AROUND, image.size)), _CROP, Image.Resampling.BILINEAR)
        scores = [_best(self.detector.detect(turned, _LOW)) for turned in _turns(crop)]
        best = int(np.argmax(scores))
        return best if scores[best] > scores[0] + _SURER else 0

    def _found_turned(self, image: Image.Image) -> Seen | None:
        """A face that is only found after the image was turned."""
        small = thumbnail(self._base(image), self.facts.longest[0], Image.Resampling.BILINEAR)
        found = [self.detector.detect(turned, self.facts.sure) for turned in _turns(small)]
        quarters = int(np.argmax([_best(one) for one in found]))
        if not len(found[quarters]):
            return None
        box = turned_back(found[quarters].boxes[0], quarters, small.size)
        scale = np.tile([image.width / small.width, image.height / small.height], 2)
        return Seen(inside(box * scale, image.size), 0, 1, "gate_unsure", _lies(quarters))


def _turns(image: Image.Image) -> Iterator[NDArray[np.uint8]]:
    """The image after 0, 1, 2 and 3 quarter turns counterclockwise."""
    pixels = np.asarray(image)
    return (np.rot90(pixels, quarters) for quarters in range(4))


def _best(found: Detections) -> float:
    return float(found.scores.max(initial=0.0))


def _lies(quarters: int) -> str | None:
    return {0: None, 2: "turned: the face is upside down"}.get(quarters, "turned: the face lies on its side")


def turned_back(box: NDArray[np.floating], quarters: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """A box in an image that was turned, in pixels of the image before the turn.

    Parameters
    ----------
    box : left, top, width and height.
    quarters : turns by 90 degrees counterclockwise, as of :func:`numpy.rot90`.
    size : width and height before the turn.

    >>> turned_back(np.array([0, 80, 10, 20]), 1, (100, 50)).tolist()
    [0.0, 0.0, 20.0, 10.0]
    """
    left, top, width, height = (float(value) for value in box)
    back = {
        0: (left, top, width, height),
        1: (size[0] - top - height, left, height, width),
        2: (size[0] - left - width, size[1] - top - height, width, height),
        3: (top, size[1] - left - width, height, width),
    }
    return np.array(back[quarters % 4], np.float64)


def inside(box: NDArray[np.floating], size: tuple[int, int]) -> FaceBox:
    """A box in whole pixels, without what lies outside the image.

    >>> inside(np.array([-3.2, 10.6, 20.0, 30.0]), (100, 35))
    (0, 11, 17, 24)
    """
    left, top, width, height = (float(value) for value in box)
    x, y = (min(max(0, round(at)), side - 1) for at, side in zip((left, top), size, strict=True))
    return (x, y, max(1, min(round(left + width), size[0]) - x), max(1, min(round(top + height), size[1]) - y))
