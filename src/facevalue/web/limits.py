"""What a browser cannot do as Python does: a model that needs it is refused, not exported without it."""

from __future__ import annotations

import msgspec

from facevalue.errors import UsageError
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.images.preprocessing import Preprocessing

FOLLOWED = {
    Abstention: {"confidence", "novelty", "source", "upper", "lower"},
    ModelCard: {"classes", "positive", "threshold", "abstention", "preprocessing"},
    Preprocessing: {"size", "fit", "filter", "crop_fraction"},
}
"""Fields that change answers, and that ``static/`` follows."""

WITHOUT_EFFECT = {
    Abstention: {"target", "n", "stated_error", "false_positives"},
    # The network and the temperature are in the exported file.
    ModelCard: {
        *("network", "temperature", "reference", "data", "recipe", "seconds_per_epoch", "provenance", "files"),
        *("evidence", "format", "altered", "seals", "policy", "features_by"),
        *("calibration", "novelty", "sources"),  # how they were fitted; both are in the exported file too
    },
    Preprocessing: set[str](),
}
"""Fields that do not change the answer to an image."""


def expect_browser(card: ModelCard) -> None:
    """Check that the page can answer as Python does.

    Raises
    ------
    UsageError
        The card has something that changes answers and that the page does not follow.
    """
    if card.preprocessing.jpeg_gap:
        raise UsageError(
            f"the model reads large JPEGs at a reduced size (jpeg_gap is {card.preprocessing.jpeg_gap:g}), which no "
            "browser does; train it without `jpeg_gap` to export it to web"
        )
    for record in (card.abstention, card.preprocessing, card):
        known = FOLLOWED[type(record)] | WITHOUT_EFFECT[type(record)]
        for field in msgspec.structs.fields(record):
            if field.name not in known and getattr(record, field.name) != field.default:
                raise UsageError(
                    f"the model uses {field.name} ({type(record).__name__}), which the web page cannot follow, so its "
                    "answers would differ; serve this model with `facevalue serve`"
                )
