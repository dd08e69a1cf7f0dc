"""Learning rates against PyTorch's own schedulers."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler

from facevalue.training.schedule import factor
from facevalue.training.settings import ScheduleSettings

EPOCHS = 20
LOSSES = [1.0, 0.8, 0.9, 0.85, 0.9, 0.95, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]


def rates_of(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], losses: bool = False) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # stepping without a training step is meant
        for epoch in range(EPOCHS):
            rates.append(optimizer.param_groups[0]["lr"])
            if losses:
                scheduler.step(LOSSES[epoch])
            else:
                scheduler.step()
    return rates


def ours(settings: ScheduleSettings) -> list[float]:
    return [factor(settings, epoch, EPOCHS, LOSSES[:epoch]) for epoch in range(EPOCHS)]


def test_cosine_equals_torchs() -> None:
    expected = rates_of(lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, eta_min=0.05))
    assert ours(ScheduleSettings(name="cosine", floor=0.05)) == pytest.approx(expected)


def test_step_equals_torchs() -> None:
    expected = rates_of(lambda o: lr_scheduler.StepLR(o, 6, 0.3))
    assert ours(ScheduleSettings(name="step", step_epochs=6, factor=0.3)) == pytest.approx(expected)


@pytest.mark.parametrize("patience", [0, 1, 2, 4])
def test_plateau_equals_torchs(patience: int) -> None:
    expected = rates_of(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=patience, threshold=0, eps=0), losses=True
    )
    assert ours(ScheduleSettings(name="plateau", patience=patience, factor=0.5)) == pytest.approx(expected)


def test_warm_up_climbs_and_then_the_schedule_starts() -> None:
    rates = ours(ScheduleSettings(name="constant", warmup_epochs=3))
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert set(rates[3:]) == {1.0}
