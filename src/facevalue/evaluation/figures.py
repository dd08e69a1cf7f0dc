"""The figures of an evaluation, from labels and the model's outputs. Needs no torch, so that anyone can repeat it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.errors import FaceValueError
from facevalue.evaluation import confusion_checks, metrics, risk_coverage
from facevalue.evaluation.probability_figures import probability_figures
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import NAMED, Finding, finding, named
from facevalue.evidence.outputs import ImageOutputs
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import Evaluation, Interval
from facevalue.support import progress
from facevalue.support.few_images import sure_of_classes
from facevalue.types import Reason

SMALL = 30
"""A class with fewer images than this gets a warning, because its intervals are wide."""


def figures_of(outputs: ImageOutputs, card: ModelCard) -> Evaluation:
    """The figures of stored outputs, with the card's threshold and limits. The provenance holds just n."""
    found = figures(card, outputs.y, outputs.p, outputs.novelty, outputs.unsure, outputs.groups)
    return _with_faceless(found, outputs.without_face)


def _with_faceless(report: Evaluation, n: int) -> Evaluation:
    """The figures with ``n`` more images, in which no face was found: the model abstains on them."""
    if not n:
        return report
    total = report.n + n
    text = (
        f"no face was found in {n} of {total} images: the model abstains on them, and they are in n, abstained, "
        "coverage and reasons, but in no other figure"
    )
    return report.changed(
        abstained=report.abstained + n,
        coverage=report.coverage * report.n / total,
        reasons={"no_face": n, **report.reasons},
        warnings=(*report.warnings, finding("images-without-face", text, no_face=n, n=total)),
    )


@sure_of_classes()
def figures(
    card: ModelCard,
    y: NDArray[np.int64],
    p: NDArray[np.float64],
    novelty: NDArray[np.float64],
    unsure: Mapping[Reason, NDArray[np.bool_]] | None = None,
    groups: Sequence[str] = (),
) -> Evaluation:
    """The evaluation figures only; the provenance holds just n.

    Parameters
    ----------
    y : (n,) true classes, indices into ``card.classes``.
    p : (n, k) calibrated probabilities.
    novelty : (n,) distances.
    unsure : (n,) images on which the model abstains before the network is asked, by reason.
    groups : (n,) group of each image; "" where it is its own. Intervals of the probabilities count groups.
    """
    if not np.isfinite(p).all():
        raise FaceValueError(
            f"the model gave probabilities that are not finite for {int((~np.isfinite(p).all(1)).sum())} of {len(y)} "
            "images, so it has no figures; its weights may hold NaN"
        )
    k, n = len(card.classes), len(y)
    positive = card.positive_index
    decided = decision.decide(p, positive, card.threshold)
    right = decided == y
    why = {
        **(unsure or {}),
        **decision.abstentions(card.limits, p[np.arange(n), decided], novelty, decided == positive),
    }
    answered = ~np.logical_or.reduce(list(why.values()))
    n_answered, right_answered = int(answered.sum()), int((right & answered).sum())
    present = [c for c in range(k) if (y == c).any()]
    draws = 500 if n <= 20_000 else 100

    auroc, probable = metrics.auroc(y, p, positive), probability_figures(y, p, groups, draws)
    confidence = p[np.arange(n), decided]
    average_precision = metrics.average_precision(y, p, positive)
    confusion = metrics.confusion(y, decided, k)
    doubt = confusion_checks.exchanged(card.classes, confusion)
    warnings = [*confusion_checks.never_predicted(card.classes, confusion), *([] if doubt is None else [doubt])]
    warnings += _few_images({label: int((y == c).sum()) for c, label in enumerate(card.classes)})
    return Evaluation(
        provenance=Provenance(n=n),
        inputs=card.inputs,
        classes=card.classes,
        accuracy=float(right.mean()),
        accuracy_ci=metrics.wilson(int(right.sum()), n),
        balanced_accuracy=metrics.balanced_accuracy(y, decided),
        balanced_accuracy_ci=metrics.mean_of_rates([(int(right[y == c].sum()), int((y == c).sum())) for c in present]),
        auroc=None if np.isnan(auroc) else auroc,
        auroc_ci=None if np.isnan(auroc) else _auroc_ci(auroc, y, p, positive, draws),
        average_precision=None if np.isnan(average_precision) else average_precision,
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        recall={card.classes[c]: float(right[y == c].mean()) for c in present},
        recall_ci={card.classes[c]: metrics.wilson(int(right[y == c].sum()), int((y == c).sum())) for c in present},
        abstained=n - n_answered,
        coverage=n_answered / n,
        accuracy_answered=right_answered / n_answered if n_answered else None,
        accuracy_answered_ci=metrics.wilson(right_answered, n_answered) if n_answered else None,
        reasons={reason: int(mask.sum()) for reason, mask in why.items()},
        aurc=risk_coverage.aurc(confidence, ~right),
        e_aurc=risk_coverage.e_aurc(confidence, ~right),
        risk_coverage=risk_coverage.curve(confidence, ~right),
        answered=tuple(tuple(int(v) for v in row) for row in metrics.confusion(y[answered], decided[answered], k)),
        **{name: getattr(probable, name) for name in probable.__struct_fields__},
        warnings=tuple(warnings),
    )


def _few_images(counts: Mapping[str, int]) -> list[Finding]:
    """Warnings about classes with few images and with none: one for each, or one for all if there are many."""
    few = {label: n for label, n in sorted(counts.items(), key=lambda item: item[1]) if 0 < n < SMALL}
    none = [label for label, n in counts.items() if not n]
    advice = "read the intervals, not only the figures"
    found = [
        finding("few-images-of-class", f"only {n} image{'s' * (n != 1)} of {label!r}: {advice}", label=label, n=n)
        for label, n in few.items()
    ]
    if len(few) > NAMED:
        text = f"{len(few)} classes have fewer than {SMALL} images, the fewest {named(few)}: {advice}"
        found = [finding("few-images-of-class", text, labels=tuple(few), n=min(few.values()))]
    if len(none) > NAMED:
        text = f"no image of {len(none)} classes: {named(none)}"
        return [*found, finding("no-image-of-class", text, labels=tuple(none))]
    return [*found, *(finding("no-image-of-class", f"no image of {label!r}", label=label) for label in none)]


def _auroc_ci(area: float, y: NDArray[np.int64], p: NDArray[np.float64], positive: int | None, draws: int) -> Interval:
    if positive is not None:
        of_positive = int((y == positive).sum())
        return metrics.auroc_interval(area, of_positive, len(y) - of_positive)
    return _bootstrap("interval of the AUROC", lambda i: metrics.auroc(y[i], p[i]), len(y), draws)


def _bootstrap(
    what: str, statistic: Callable[[NDArray[np.integer]], float], n: int, draws: int, around: float | None = None
) -> Interval:
    with progress.work(what, draws, "draws") as work:

        def counted(drawn: NDArray[np.integer]) -> float:
            work.advance()
            return statistic(drawn)

        return metrics.bootstrap(counted, n, draws=draws, around=around)
