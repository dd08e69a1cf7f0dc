"""Everyday image corruptions, one record each in :data:`CORRUPTIONS`."""

from facevalue.robustness.corruptions.base import Corruption, corrupted
from facevalue.robustness.corruptions.everyday import blur, brightness, crop, jpeg, noise, resize, screenshot

__all__ = ["CORRUPTIONS", "Corruption", "corrupted"]

CORRUPTIONS: dict[str, Corruption] = {
    corruption.name: corruption
    for corruption in (
        Corruption("jpeg", "quality", (90, 70, 50, 30, 10), jpeg),
        Corruption("blur", "pixels of 256", (0.5, 1, 2, 3, 4), blur),
        Corruption("noise", "levels of 255", (5, 10, 20, 40, 60), noise),
        Corruption("resize", "share of each side", (0.75, 0.5, 0.33, 0.25, 0.125), resize),
        Corruption("crop", "share of each side", (0.95, 0.9, 0.8, 0.7, 0.6), crop),
        Corruption("brightness-down", "times", (0.8, 0.6, 0.4, 0.25, 0.15), brightness),
        Corruption("brightness-up", "times", (1.25, 1.5, 2, 3, 4), brightness),
        Corruption("screenshot", "step", (1, 2, 3, 4, 5), screenshot),
    )
}
