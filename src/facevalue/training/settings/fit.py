"""Optimizer, schedule and epochs."""

from __future__ import annotations

from typing import Literal

from facevalue.training.settings.base import Settings, expect


class OptimizerSettings(Settings, frozen=True):
    """The optimiser.

    Attributes
    ----------
    name : the optimiser.
    lr : learning rate, above 0.
    weight_decay : L2 penalty on weights, not on biases and norms; ``adamw`` decouples it from the gradient.
    momentum : of ``sgd`` and ``rmsprop``, in [0, 1).
    """

    name: Literal["rmsprop", "adam", "adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        expect(self.lr > 0, "lr", "above 0", self.lr)
        expect(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        expect(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)


class ScheduleSettings(Settings, frozen=True):
    """The learning rate by epoch; see :mod:`facevalue.training.schedule`.

    Attributes
    ----------
    name : ``constant``, ``cosine`` (Loshchilov & Hutter 2017, arXiv:1608.03983), ``step`` or ``plateau``.
    warmup_epochs : epochs in which the rate grows from near 0.
    factor : ``step`` and ``plateau`` multiply the rate by this, in (0, 1).
    patience : epochs without a lower validation loss before ``plateau`` acts.
    step_epochs : epochs between two changes of ``step``.
    floor : the rate never falls below this share of ``optimizer.lr``.
    """

    name: Literal["constant", "cosine", "step", "plateau"] = "constant"
    warmup_epochs: int = 0
    factor: float = 0.1
    patience: int = 2
    step_epochs: int = 10
    floor: float = 0.0

    def __post_init__(self) -> None:
        expect(0 < self.factor < 1, "factor", "in (0, 1)", self.factor)
        expect(self.step_epochs > 0 and self.patience >= 0, "step_epochs and patience", "positive", self.step_epochs)


class FitSettings(Settings, frozen=True):
    """The training loop.

    Attributes
    ----------
    epochs : maximum number of passes over the training images.
    batch_size : images per step, at least 2.
    label_smoothing : share of each label that is spread over all classes, in [0, 1).
    class_weights : ``balanced`` gives rare classes more weight in the loss.
    patience : epochs without a better validation figure before training stops; 0: never.
    monitor : the validation figure that chooses the epoch. Adversarial training uses robust accuracy instead.
    keep : weights of the ``best`` epoch on validation, or of the ``last``. If validation is small or differs from the
        images in use, the best epoch is mostly chance.
    precision : of the arithmetic; ``auto`` is 32 bits on a CPU, and bfloat16 where a GPU has it.
    device : ``auto`` is a GPU if there is one.
    compile : whether ``torch.compile`` makes the network faster: worth it for long trainings on a GPU.
    stages : how many of the network's last stages ``finetune`` trains.
    head_lr_factor : the last layer's learning rate, as a multiple of ``optimizer.lr``.
    freeze_batchnorm : batch norm keeps its initial statistics.
    """

    epochs: int = 15
    batch_size: int = 32
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    patience: int = 0
    monitor: Literal["loss", "accuracy"] = "loss"
    keep: Literal["best", "last"] = "best"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    stages: int | Literal["all"] = "all"
    head_lr_factor: float = 1.0
    freeze_batchnorm: bool = False

    def __post_init__(self) -> None:
        expect(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        expect(self.batch_size >= 2, "batch_size", "at least 2, for batch norm", self.batch_size)
        expect(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        expect(self.keep == "best" or not self.patience, "patience", "0 where the last epoch is kept", self.patience)
        expect(self.stages == "all" or self.stages >= 1, "stages", "'all' or at least 1", self.stages)
