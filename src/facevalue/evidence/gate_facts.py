"""The card's record of the face gate: what finds faces, and which faces are answered for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from facevalue.evidence.record import Record

DETECTOR = "face_detector.onnx"
"""The detector's file in a model folder."""

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class GateFacts(Record, frozen=True):
    """How faces are found, and when a face is not answered for.

    A runtime decodes the upright image, looks for faces, takes the largest (or each), crops the square around it by
    ``preprocessing.face_margin``, and gives the crop to the network as the rest of ``preprocessing`` says. Without a
    face the answer is ``no_face``, and the network is not asked. A face that does not keep a limit is ``gate_unsure``.

    The defaults were chosen on portraits and on objects, see ``docs/guides/face-gate.md``.

    Attributes
    ----------
    detector, sha256, licence : name, SHA-256 and licence of the detector's file. In a model folder it is
        ``face_detector.onnx``.
    longest : longer sides, in pixels, to which the image is scaled down before faces are looked for; one after the
        other, until a face is sure. The image is scaled to the largest of them, and that to the others (bilinear,
        antialiased); an image is never enlarged.
    doubt : lowest score of what may be a face; below it there is none.
    sure : lowest score of a face that is answered for.
    smallest : shortest side of such a face in pixels of the image.
    roll : most degrees by which it may be tilted towards a shoulder.
    turn : how far it may look to a side, up or down: 0 is frontal, at 1 the nose lies before an eye, 1.5 is nearly a
        profile.
    rival : if the second largest face has at least this share of the largest one's area, it is open which one is
        meant.
    """

    detector: str
    sha256: str
    licence: str
    longest: tuple[Annotated[int, msgspec.Meta(ge=32)], ...] = (320, 160, 640, 1280)
    doubt: Share = 0.5
    sure: Share = 0.8
    smallest: Annotated[int, msgspec.Meta(ge=1)] = 32
    roll: Annotated[float, msgspec.Meta(gt=0, le=180)] = 30.0
    turn: Annotated[float, msgspec.Meta(gt=0)] = 1.5
    rival: Share = 0.9
