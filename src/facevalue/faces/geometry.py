"""How a face is turned, from its five landmarks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]


def roll_of(landmarks: Points) -> float:
    """Degrees by which the line through the eyes is tilted, in [-180, 180]; positive is clockwise.

    Parameters
    ----------
    landmarks : (5, 2) x and y of right eye, left eye, nose, right and left corner of the mouth.

    >>> round(roll_of(np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])))
    0
    >>> round(roll_of(np.array([[70.0, 60], [30, 60], [50, 40], [65, 20], [35, 20]])))
    180
    """
    x, y = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(y, x))


def turn_of(landmarks: Points) -> float:
    """How far the face looks to a side, up or down: 0 is frontal; at 1 the nose lies before an eye, or above or below.

    The nose of a frontal face lies half way between the eyes, and half way from the line of the eyes to the line of
    the mouth. It moves as the head turns, because it lies nearer to the camera.

    Parameters
    ----------
    landmarks : (5, 2), as for :func:`roll_of`.

    >>> round(turn_of(np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])), 3)
    0.0
    >>> round(turn_of(np.array([[30.0, 40], [70, 40], [70, 60], [35, 80], [65, 80]])), 3)
    1.0
    """
    right_eye, left_eye, nose, right_mouth, left_mouth = np.asarray(landmarks, np.float64)
    across, down = left_eye - right_eye, (right_mouth + left_mouth - right_eye - left_eye) / 2
    # Coordinates of the nose along both axes, which need not be at right angles where the head is turned.
    basis = np.stack([across, down], axis=1)
    if abs(np.linalg.det(basis)) < 1e-6 * max(1.0, float(np.abs(basis).max()) ** 2):
        return math.inf  # eyes and mouth lie on one line
    along, below = np.linalg.solve(basis, nose - (right_eye + left_eye) / 2)
    return float(max(abs(2 * along), abs(2 * below - 1)))
