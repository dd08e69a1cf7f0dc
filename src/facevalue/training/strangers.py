"""The strangers of a training: what novelty is fitted with, and what it is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.data.manifest import Manifest
from facevalue.data.strangers import DRAWN, drawn_set, drawn_strangers, read_strangers, together
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.novelty import NoveltyData, fitted_score, with_novelty
from facevalue.evaluation.strangers import evaluate_strangers
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import StrangerReport
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.models.novelty import NoveltyScore
from facevalue.models.novelty.sources import SourceDistance
from facevalue.support import progress
from facevalue.training.known_sources import TrainingSources, with_known_sources
from facevalue.training.recipe import Recipe

FROM_SCRATCH = finding(
    "novelty-from-scratch",
    "the network was trained from random weights, so its features hold little but its classes: strangers that are "
    "unlike the drawn ones are refused less often than with pretrained weights; measure with `evaluate --strangers`",
)


@dataclass(frozen=True, eq=False)
class StrangerSplit:
    """Images that the model must refuse: drawn ones, and those of the user's folders.

    Attributes
    ----------
    fit : novelty is fitted with these. The labels are the sets; every drawn kind is one.
    test : others of the same sets; the drawn ones are one set.
    warnings : about images of the folders that were left out.
    """

    fit: ImageDataset
    test: ImageDataset
    warnings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, folders: Sequence[Path | str], preprocessing: Preprocessing, known: Manifest) -> StrangerSplit:
        """The drawn images, and those of ``folders`` that are not the model's own (``known``)."""
        preprocessing = preprocessing.whole  # strangers need not show a face; the network must refuse them too
        given = read_strangers(folders, preprocessing, known)
        drawn = {"fit": drawn_strangers("fit", preprocessing), "test": drawn_set(preprocessing)}
        parts = {part: [drawn[part], given.split(part)] for part in ("fit", "test")}
        fit, test = ([one for one in parts[part] if one is not None] for part in ("fit", "test"))
        fitted, tested = together(fit, "strangers"), together(test, "strangers held out")
        warnings = list(given.warnings)
        untested = [name for name in fitted.classes if not name.startswith(DRAWN) and name not in tested.classes]
        if untested:
            text = f"too few images of {', '.join(untested)} look different, so none of them is left to test on"
            warnings.append(finding("strangers-not-tested", text, sets=tuple(untested)))
        return cls(fitted, tested, tuple(warnings))

    def calibrated(
        self,
        classifier: Classifier,
        train: ImageDataset,
        train_features: Features,
        held_out: CalibrationSet,
        recipe: Recipe,
        extractor: Extractor | None = None,
    ) -> Classifier:
        """The classifier with novelty, calibration and limits.

        Parameters
        ----------
        train, train_features : the training images.
        held_out : features of the calibration split.
        extractor : of the classifier; a new one by default.
        """
        data = self.novelty_data(classifier, train, recipe, extractor)
        classifier, unseen = with_novelty(classifier, train_features, data, held_out.images)
        classifier = calibrated(classifier, held_out, recipe.calibration.choices(), unseen)
        sources = TrainingSources.of(classifier, train, recipe.sources)
        return (
            classifier if sources is None else with_known_sources(classifier, sources, train_features, data, held_out)
        )

    def score_again(
        self, first: Classifier, second: Classifier, train: ImageDataset, train_features: Features, extractor: Extractor
    ) -> NoveltyScore:
        """The novelty score of ``first``, fitted to features of ``second`` by its extractor."""
        x = extractor.features_once(self.fit, "computing features of strangers")
        sources = TrainingSources.of(first, train, None) if first.card.sources is not None else None
        numbers = None if sources is None else sources.numbers
        return fitted_score(second, type(first.novelty_score), train_features, self._by_set(x), numbers)

    def novelty_data(
        self, classifier: Classifier, train: ImageDataset, recipe: Recipe, extractor: Extractor | None = None
    ) -> NoveltyData:
        """What novelty of this classifier is fitted with."""
        x = (extractor or Extractor(classifier)).features_once(self.fit, "computing features of strangers")
        groups = train.rows["group"].astype(str)
        sources = TrainingSources.of(classifier, train, recipe.sources)
        return NoveltyData(
            strangers=self._by_set(x),
            # An image without a group is its own.
            groups=np.array([group or f"image {i}" for i, group in enumerate(groups)]),
            scores=recipe.novelty.scores if sources is None else (SourceDistance.name,),
            quantile=recipe.calibration.quantile,
            sources=None if sources is None else sources.numbers,
        )

    def _by_set(self, x: Tensor) -> dict[str, Tensor]:
        return {name: x[torch.from_numpy(self.fit.labels == i)] for i, name in enumerate(self.fit.classes)}

    def report(
        self, classifier: Classifier, own: ImageDataset, own_features: Features, extractor: Extractor | None = None
    ) -> StrangerReport:
        """The share of strangers answered, of those that novelty was not fitted with."""
        with progress.within("strangers held out"):
            far = (extractor or Extractor(classifier)).of(self.test, "computing features of strangers")
            found = evaluate_strangers(classifier, own, self.test, own_features=own_features, stranger_features=far)
        scratch = [FROM_SCRATCH] if classifier.card.network.weights == "none" else []
        return found.changed(warnings=(*self.warnings, *scratch, *found.warnings))
