"""The result of a training in one record: the most important figures of its card."""

from __future__ import annotations

from typing import Any

from facevalue.evidence.card import Abstention, DataFacts, ModelCard
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.record import Record
from facevalue.evidence.records import Evaluation, ExportReport, SourceReport

SPLITS = ("train", "validation", "calibration", "test")


class TrainSummary(Record, frozen=True):
    """Summary of a new model; see :class:`~facevalue.evidence.card.ModelCard` for the fields.

    ``train``, ``validation``, ``calibration`` and ``test`` are the evaluations on these splits; ``sources`` are the
    controls of sources, ``None`` if the images have no sources.
    """

    train: Evaluation | None
    validation: Evaluation | None
    calibration: Evaluation | None
    test: Evaluation | None
    classes: tuple[str, ...]
    network: str
    parameters: int
    seconds: float
    seconds_per_epoch: float | None
    temperature: float
    threshold: float
    abstention: Abstention
    recipe: dict[str, Any]
    data: DataFacts
    exports: tuple[ExportReport, ...]
    sources: SourceReport | None
    seed: int | None
    provenance: Provenance

    @classmethod
    def of(cls, card: ModelCard) -> TrainSummary:
        """The summary of a card."""
        return cls(
            **{split: card.evaluation(split) for split in SPLITS},
            classes=card.classes,
            network=card.network.name,
            parameters=card.network.parameters,
            seconds=card.provenance.seconds,
            seconds_per_epoch=card.seconds_per_epoch,
            temperature=card.temperature,
            threshold=card.threshold,
            abstention=card.abstention,
            recipe=card.recipe,
            data=card.data,
            exports=tuple(card.of_kind(ExportReport)),
            sources=next(reversed(card.of_kind(SourceReport)), None),
            seed=card.provenance.seed,
            provenance=card.provenance,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; splits that were not evaluated are left out."""
        plain = super().to_dict()
        for split in SPLITS:
            evaluation: Evaluation | None = getattr(self, split)
            if evaluation is None:
                del plain[split]
            else:
                plain[split] = evaluation.to_dict()
        plain["sources"] = None if self.sources is None else self.sources.to_dict()
        plain["exports"] = [export.to_dict() for export in self.exports]
        return plain
