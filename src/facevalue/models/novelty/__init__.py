"""Novelty scores: how unlike its training images an image is, one file each."""

from facevalue.models.novelty.base import KnownImages, NoveltyScore
from facevalue.models.novelty.contrast import Contrast
from facevalue.models.novelty.energy import Energy
from facevalue.models.novelty.exposure import Exposure
from facevalue.models.novelty.mahalanobis import Mahalanobis
from facevalue.models.novelty.neighbours import Neighbours
from facevalue.models.novelty.nnguide import NNGuide
from facevalue.models.novelty.relative_mahalanobis import RelativeMahalanobis
from facevalue.models.novelty.sources import SourceDistance
from facevalue.models.novelty.vim import ViM

__all__ = ["SCORES", "KnownImages", "NoveltyScore"]

SCORES: dict[str, type[NoveltyScore]] = {
    score.name: score
    for score in (
        Contrast,
        Neighbours,
        Mahalanobis,
        RelativeMahalanobis,
        ViM,
        NNGuide,
        Energy,
        Exposure,
        SourceDistance,
    )
}
"""The scores by name; where several are equally good, the first is kept."""
