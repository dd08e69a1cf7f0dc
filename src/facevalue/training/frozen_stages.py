"""Outputs of frozen stages, computed once and kept, because they are the same in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.models.networks.base import Body
from facevalue.support import progress
from facevalue.training.processes import Processes
from facevalue.training.recipe import Recipe
from facevalue.training.settings import AugmentSettings, FitSettings

KEPT_BYTES = 2**30
"""Outputs of frozen stages stay in memory up to this size in bytes.

Fixed, not a share of what is free now: a training that is continued must compute the same, bit for bit.
"""

_COMPARED = 2  # images whose logits must be the same with kept outputs


@dataclass(frozen=True, eq=False)
class Running:
    """A network as the training loop runs it.

    Attributes
    ----------
    body : with its stages frozen, see :func:`facevalue.training.freezing.unfreeze`.
    unfrozen : the stages that train.
    run : normalised images (n, 3, s, s) to logits (n, k), in the loop's engine.
    prepared : network inputs (n, s, s, 3) uint8 to normalised images.
    """

    body: Body
    unfrozen: Sequence[nn.Module]
    run: Callable[[Tensor], Tensor]
    prepared: Callable[[NDArray[np.uint8]], Tensor]

    @property
    def frozen(self) -> list[nn.Module]:
        """The stages that do not train."""
        return [stage for stage in self.body.stages() if all(stage is not one for one in self.unfrozen)]


class NotKept(Exception):  # noqa: N818 - not an error: the training computes all stages
    """Why outputs of frozen stages are not kept."""


class Cut:
    """A network, cut before its first stage that trains; tried on normalised ``images``.

    Raises
    ------
    NotKept
        Something that trains comes before the cut, or what follows it also depends on an earlier stage.
    """

    def __init__(self, network: Running, images: Tensor) -> None:
        self._run, self._first = network.run, network.unfrozen[0]
        self._trained, self._frozen = [*network.unfrozen, network.body.head], network.frozen
        self._like: dict[nn.Module, Tensor] = {}
        self._size = images.shape[1:]
        modes = [(module, module.training) for module in network.body.modules()]
        network.body.eval()
        try:
            whole, kept = self._whole(images), self.outputs(images)
            with torch.no_grad():
                same = torch.equal(self.rest(kept), whole)
        except NotKept:
            raise
        except Exception as error:  # a network can fail in any way without its first stages
            raise NotKept(f"the network cannot be cut there ({type(error).__name__})") from error
        finally:
            for module, training in modes:
                module.training = training
        if not same:
            raise NotKept("the network cannot be cut there: later stages also take what is before the cut")

    def _whole(self, images: Tensor) -> Tensor:
        """The logits of all stages; notes the shape of what each frozen stage gives."""

        def noted(module: nn.Module, _: Any, output: Any) -> None:
            if not isinstance(output, Tensor) or len(output) != len(images):
                raise NotKept("a frozen stage gives no tensor with one row for each image")
            self._like[module] = output.new_zeros(1).expand(output.shape[1:])

        handles = [stage.register_forward_hook(noted) for stage in self._frozen]
        try:
            with torch.no_grad():
                return self._run(images)
        finally:
            for handle in handles:
                handle.remove()

    def outputs(self, images: Tensor) -> Tensor:
        """What the first trained stage takes, of normalised images (n, 3, s, s); later stages are not computed."""
        taken: list[Tensor] = []

        def reached(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if module is not self._first:
                raise NotKept("a stage that trains comes before a frozen one")
            if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or len(inputs[0]) != len(images):
                raise NotKept("the first trained stage does not take one tensor with one row for each image")
            taken.append(inputs[0].detach())
            raise _Reached

        handles = [stage.register_forward_pre_hook(reached) for stage in self._trained]
        try:
            with torch.no_grad():
                self._run(images)
        except _Reached:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return taken[0]

    def rest(self, kept: Tensor) -> Tensor:
        """(n, k) logits from what the first trained stage takes; frozen stages are not computed."""
        images = torch.zeros(1).expand(len(kept), *self._size)
        handle = self._first.register_forward_pre_hook(lambda *_: (kept,))
        try:
            with self._passed_over(len(kept)):
                return self._run(images)
        finally:
            handle.remove()

    @contextmanager
    def _passed_over(self, n: int) -> Iterator[None]:
        """Inside the block, frozen stages give zeros of their usual shape, in no time."""
        for stage, like in self._like.items():
            # Not one zero expanded: what follows may compute in place.
            stage.forward = lambda *_, like=like, **__: like.new_zeros(n, *like.shape)
        try:
            yield
        finally:
            for stage in self._like:
                del stage.forward


class _Reached(Exception):  # noqa: N818 - ends a forward pass that has gone far enough
    pass


@dataclass(frozen=True, eq=False)
class Kept:
    """What the first trained stage takes, of all images of a dataset."""

    cut: Cut
    values: Tensor

    @classmethod
    def of(cls, cut: Cut, network: Running, dataset: ImageDataset, size: int, what: str) -> Kept:
        """Compute them in batches of ``size``."""
        values: Tensor | None = None
        done = 0
        with progress.work(what, len(dataset)) as work:
            for pixels, _ in dataset.batches(size):
                part = cut.outputs(network.prepared(pixels))
                if values is None:
                    values = torch.empty(
                        (len(dataset), *part.shape[1:]), dtype=part.dtype, memory_format=_format_of(part)
                    )
                values[done : done + len(part)] = part
                done += len(part)
                work.advance(len(part))
        assert values is not None, "there is no image"
        return cls(cut, values)

    def at(self, indices: NDArray[np.int64]) -> Tensor:
        """Those of the images at these positions."""
        return self.values[torch.from_numpy(indices)].contiguous(memory_format=_format_of(self.values))


def _format_of(values: Tensor) -> torch.memory_format:
    last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


class OneLook(nn.Module):
    """The network for one pass over a dataset whose outputs are kept, in its order; the images are not looked at."""

    def __init__(self, kept: Kept, body: nn.Module) -> None:
        super().__init__()
        self._kept, self._seen, self.body = kept, 0, body

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) logits of the next n images."""
        places = np.arange(self._seen, self._seen + len(x))
        self._seen += len(x)
        return self._kept.cut.rest(self._kept.at(places))


@dataclass(frozen=True, eq=False)
class FrozenStages:
    """Kept outputs of the frozen stages, of the training and of the validation images; ``None`` where not kept."""

    train: Kept | None = None
    validation: Kept | None = None

    @classmethod
    def of(
        cls,
        network: Running,
        train: ImageDataset,
        validation: ImageDataset | None,
        recipe: Recipe,
        reason: str | None,
    ) -> FrozenStages:
        """Compute the outputs once, where they are the same in every epoch and take at most :data:`KEPT_BYTES`.

        What is kept, or why not, is said in a note.

        Parameters
        ----------
        validation : ``None`` if nothing is held out.
        reason : why the stages cannot be kept, known beforehand.
        """
        if recipe.fit.stages == "all" or not network.frozen:
            return cls()
        try:
            if reason is not None:
                raise NotKept(reason)
            pixels, _ = next(train.batches(min(_COMPARED, len(train))))
            images = network.prepared(pixels)
            cut = Cut(network, images)
            row = cut.outputs(images)[0]
        except NotKept as why:
            progress.note(f"frozen stages are computed in every epoch: {why}")
            return cls()
        left, kept = KEPT_BYTES, dict[str, Kept]()
        changed = what_changes(recipe)
        for name, dataset in (("train", train), ("validation", validation)):
            if dataset is None:
                continue
            needed = len(dataset) * row.numel() * row.element_size()
            hindered = changed if name == "train" else None
            if hindered is None and needed > left:
                room = f"more than the {left / 2**20:,.0f} MB that are left"
                hindered = f"their outputs take {needed / 2**20:,.0f} MB, {room}"
            if hindered is not None:
                progress.note(f"frozen stages are computed in every epoch for {name}: {hindered}")
                continue
            kept[name] = Kept.of(
                cut, network, dataset, recipe.fit.batch_size, f"computing frozen stages of {name} once"
            )
            left -= needed
            progress.note(f"frozen stages are computed once for {name}: their outputs take {needed / 2**20:,.1f} MB")
        return cls(**kept)


def what_changes(recipe: Recipe) -> str | None:
    """What makes the input of the frozen stages differ between epochs; ``None`` if nothing does."""
    if recipe.adversarial.method != "none":
        return "attacks change the images"
    plain = AugmentSettings()
    ignored = ("corruption", "fill")  # they only say how other changes are made
    augment = recipe.augment
    changes = [name for name in plain.__struct_fields__ if name not in ignored and getattr(augment, name)]
    if changes:
        return f"augmentation changes the images ({', '.join(changes)})"
    return "a teacher looks at the images" if recipe.distill.teacher else None


def not_kept_by(processes: Processes, device: torch.device, settings: FitSettings) -> str | None:
    """Why a training keeps nothing, whatever the images are; ``None`` if it may."""
    if processes.count > 1:
        return "several processes train"
    if settings.compile:
        return "the network is compiled as a whole"
    return None if device.type == "cpu" else "they are kept in trainings on a CPU only"
