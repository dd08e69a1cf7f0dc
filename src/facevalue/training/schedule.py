"""Learning rates by epoch: a pure function of the settings and of the validation losses so far.

It has no state, so a resumed run computes the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from facevalue.training.settings import ScheduleSettings


def factor(settings: ScheduleSettings, epoch: int, epochs: int, losses: Sequence[float]) -> float:
    """The factor of the learning rate in an epoch.

    Parameters
    ----------
    settings : ``constant``; ``cosine`` (Loshchilov & Hutter 2017, arXiv:1608.03983) from 1 to ``floor`` over
        the epochs after warm-up; ``step``: times ``factor`` every ``step_epochs``; ``plateau``: times ``factor``
        whenever the validation loss has not fallen for more than ``patience`` epochs.
    epoch : counted from 0.
    epochs : number of planned epochs.
    losses : validation losses of the epochs before this one.

    >>> [round(factor(ScheduleSettings(name="cosine"), e, 4, []), 3) for e in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    warm = settings.warmup_epochs
    if epoch < warm:
        return (epoch + 1) / (warm + 1)
    if settings.name == "cosine":
        done = (epoch - warm) / max(1, epochs - warm)
        return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * done))
    if settings.name == "step":
        return max(settings.floor, settings.factor ** ((epoch - warm) // settings.step_epochs))
    if settings.name == "plateau":
        return max(settings.floor, settings.factor ** _plateaus(losses[warm:], settings.patience))
    return 1.0


def _plateaus(losses: Sequence[float], patience: int) -> int:
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            count, waited = count + 1, 0
    return count
