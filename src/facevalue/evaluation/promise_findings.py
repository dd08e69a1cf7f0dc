"""What to know of a model's promises: whether they are kept, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator

from facevalue.evaluation.exact_bounds import fewest
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.stated_limits import FalsePositives, StatedError
from facevalue.support.formats import percent


def promise_findings(card: ModelCard) -> tuple[Finding, ...]:
    """Findings about the stated error and the bound on false positives, if the card has them."""
    found: list[Finding] = []
    if card.abstention.stated_error is not None:
        found += _of_error(card.abstention.stated_error)
    if card.abstention.false_positives is not None:
        found += _of_false_positives(card, card.abstention.false_positives)
    return tuple(found)


def _of_error(stated: StatedError) -> Iterator[Finding]:
    asked = f"an error of at most {percent(stated.error)} among answers"
    n = max((part.n for part in stated.conditions.values()), default=0)
    groups = min((part.groups for part in stated.conditions.values()), default=0)
    if not stated.kept:
        if stated.more is None:
            how = (
                "and no number of images like these would show it: too many of the most certain predictions are wrong; "
                "state a larger error, or train a better model"
            )
        else:
            how = f"it takes about {stated.more} more calibration images like them"
            if groups < n:
                how += f" (these are {groups} groups of images that are alike)"
        yield finding(
            "error-not-promised",
            f"{asked} cannot be promised from {n} calibration images, so the model answers nothing: {how}",
            error=stated.error,
            n=n,
            groups=groups,
            more=stated.more,
        )
        return
    needed = fewest(0, stated.error, 1 - stated.certainty)
    if groups < min(n, needed):
        yield finding(
            "promise-from-few-groups",
            f"{asked} is promised from {n} images of {groups} groups, counted as {n / stated.design_effect:.0f} "
            f"independent images; if all images of a group can be wrong together, it takes at least {needed} groups",
            error=stated.error,
            n=n,
            groups=groups,
            needed=needed,
        )


def _of_false_positives(card: ModelCard, bounded: FalsePositives) -> Iterator[Finding]:
    asked = f"at most {percent(bounded.rate)} false positives"
    for source, more in bounded.more.items():
        where = f"of {source!r}" if source else "together"
        yield finding(
            "false-positives-not-promised",
            f"{asked} cannot be promised: the negatives {where} are too few, by {more} groups of images, so the model "
            f"calls no image {card.positive!r}",
            rate=bounded.rate,
            source=source,
            more=more,
        )
    if not bounded.kept and not bounded.more:
        yield finding(
            "false-positives-not-promised",
            f"{asked} cannot be promised: the probability of {card.positive!r} is nearly 1 for too many negatives, so "
            "the model calls no image so",
            rate=bounded.rate,
            source="",
            more=0,
        )
    if bounded.kept and bounded.lower is None:
        yield finding(
            "no-lower-threshold",
            f"there are too few calibration images of {card.positive!r} to choose the lower threshold: the limit on "
            "the probability alone decides when the model calls an image negative",
            rate=bounded.rate,
        )
