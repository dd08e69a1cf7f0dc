"""The state of an unfinished training run, saved after every epoch. Tensors and JSON only."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.tensors import write
from facevalue.support import files

STATE, TENSORS = "state.json", "state.safetensors"


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
    identity : digest of recipe, data and seed; only a run with the same identity may resume.
    watch : called with the history after every epoch, once the state is on disk; an exception in it ends the training.
    """

    folder: Path
    identity: str
    watch: Callable[[list[dict[str, Any]]], None] | None = None

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
            The state is damaged, or belongs to another recipe, data or seed.
        """
        if not (self.folder / STATE).is_file():
            return None
        try:
            plain = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            # Not load_file: it keeps the file memory-mapped, and Windows cannot replace a folder with a mapped file.
            tensors = load((self.folder / TENSORS).read_bytes())
            identity = plain["identity"]
        except Exception as error:
            raise UsageError(f"{self.folder} cannot be read; train without `resume` to start over") from error
        if identity != self.identity:
            raise UsageError(
                f"{self.folder} belongs to a training run with another recipe, data or seed; "
                "use the same ones, or train without `resume` to start over"
            )
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

    def inside(self, name: str) -> Checkpoint:
        """The checkpoint of a second training that follows this one; :meth:`clear` removes both."""
        return Checkpoint(self.folder / name, self.identity)

    def clear(self) -> None:
        """Remove the folder, and partial copies that a run killed while writing left beside it."""
        for left in (self.folder, *self.folder.parent.glob(f".{glob.escape(self.folder.name)}.*")):
            shutil.rmtree(left, ignore_errors=True)
