"""The state of an unfinished training run, saved after every epoch. Tensors and JSON only."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.tensors import write
from facevalue.support import files, progress
from facevalue.support.formats import eps_text

STATE, TENSORS = "state.json", "state.safetensors"
_SHORT, _NAMED = 40, 3  # longest values, and most settings, that a message shows


@dataclass(frozen=True)
class State:
    """Everything that the next epoch needs.

    Attributes
    ----------
    weights, kept : the body's current state, and the state to keep if training ends now.
    optimizer : ``state_dict`` of a torch optimiser.
    history : one line per epoch.
    """

    weights: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a :class:`State` and is replaced as a whole.

    Attributes
    ----------
    folder : beside the future model folder.
    identity : settings and images as plain JSON values; only a run with the same identity may go on.
    watch : called with the history after every epoch, once the state is on disk; an exception in it ends the training.
    """

    folder: Path
    identity: Mapping[str, Any]
    watch: Callable[[list[dict[str, Any]]], None] | None = None

    def begin(self, *, resume: bool = False, fresh: bool = False) -> None:
        """Decide, before the work, what becomes of a state that an earlier run has left.

        A run with the same settings and images goes on from it, because that ends with the same weights. A state of
        another run is never removed unasked.

        Parameters
        ----------
        resume : say so if there is nothing to go on from.
        fresh : remove it and start over.

        Raises
        ------
        UsageError
            Both are true, or there is a state that is damaged or of other settings or images.
        """
        if resume and fresh:
            raise UsageError("`resume` goes on with an unfinished run and `fresh` removes it; give only one of them")
        if fresh:
            self.clear()
            return
        found = self._plain()
        if found is not None:
            progress.note(f"going on with the unfinished run in {self.folder}; `fresh` would start over")
        elif resume:
            progress.note(f"there is no unfinished run in {self.folder}: starting from the beginning")

    def save(self, state: State) -> None:
        """Replace the contents of the folder."""
        slots: dict[str, Any] = {}
        tensors = {f"weights.{n}": v for n, v in state.weights.items()} | {
            f"kept.{n}": v for n, v in state.kept.items()
        }
        for i, slot in state.optimizer["state"].items():
            slots[str(i)] = {n: v for n, v in slot.items() if not isinstance(v, Tensor)}
            tensors |= {f"optimizer.{i}.{n}": v for n, v in slot.items() if isinstance(v, Tensor)}
        plain = {
            "identity": self.identity,
            "history": state.history,
            "optimizer": {"slots": slots, "groups": state.optimizer["param_groups"]},
        }
        with files.replacing_folder(self.folder) as partial:
            # Clones: safetensors refuses tensors that share memory, as weights and kept do after a best epoch.
            write({n: v.detach().cpu().clone() for n, v in tensors.items()}, partial / TENSORS)
            (partial / STATE).write_text(json.dumps(plain), encoding="utf-8")
        if self.watch is not None:
            self.watch(state.history)

    def load(self) -> State | None:
        """The saved state, or ``None`` if there is none yet.

        Raises
        ------
        UsageError
            The state is damaged, or of other settings or images.
        """
        plain = self._plain()
        if plain is None:
            return None
        try:
            # Not load_file: it keeps the file memory-mapped, and Windows cannot replace a folder with a mapped file.
            tensors = load((self.folder / TENSORS).read_bytes())
        except Exception as error:
            raise self._damaged() from error
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "kept": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        slots: dict[int, dict[str, Any]] = {int(i): dict(slot) for i, slot in plain["optimizer"]["slots"].items()}
        for name, tensor in parts["optimizer"].items():
            i, _, key = name.partition(".")
            slots[int(i)][key] = tensor
        optimizer = {"state": slots, "param_groups": plain["optimizer"]["groups"]}
        return State(parts["weights"], parts["kept"], optimizer, plain["history"])

    def _plain(self) -> dict[str, Any] | None:
        """The saved JSON, checked; ``None`` if there is none."""
        if not (self.folder / STATE).is_file():
            return None
        try:
            plain: dict[str, Any] = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            before = plain["identity"]
        except Exception as error:
            raise self._damaged() from error
        other = differences(before, json.loads(json.dumps(self.identity)))  # JSON turns tuples into lists
        if other:
            raise UsageError(
                f"{self.folder} is an unfinished run with other settings or images: {_named(other)}; use the same as "
                "then to go on, give `fresh` to remove it and start over, or choose another `output`"
            )
        return plain

    def _damaged(self) -> UsageError:
        return UsageError(f"{self.folder} cannot be read; give `fresh` to remove it and start over")

    def inside(self, name: str) -> Checkpoint:
        """The checkpoint of a second training that follows this one; :meth:`clear` removes both."""
        return Checkpoint(self.folder / name, self.identity)

    def clear(self) -> None:
        """Remove the folder, and partial copies that a run killed while writing left beside it."""
        for left in (self.folder, *self.folder.parent.glob(f".{glob.escape(self.folder.name)}.*")):
            shutil.rmtree(left, ignore_errors=True)


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Dotted keys of two nested mappings whose values differ, each with both values if they are short.

    >>> differences({"lr": 0.1, "fit": {"epochs": 3}}, {"lr": 0.1, "fit": {"epochs": 4}})
    ['fit.epochs (3 then, 4 now)']
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*before, *now])
        return [d for k in keys for d in differences(before.get(k), now.get(k), f"{key}.{k}".lstrip("."))]
    if before == now:
        return []
    if key.endswith(".eps") and isinstance(before, float) and isinstance(now, float):
        before, now = eps_text(before), eps_text(now)
    short = f" ({before} then, {now} now)"
    return [f"{key or 'all'}{short if len(short) <= _SHORT else ''}"]


def _named(found: Sequence[str]) -> str:
    return ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
