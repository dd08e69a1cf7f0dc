"""Several processes that train one model together, started by ``torchrun``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from facevalue.errors import UsageError
from facevalue.training.settings import FitSettings

_PATIENCE = timedelta(days=7)
"""How long a process waits for the others; ``torchrun`` notices by itself when one of them has ended."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes
    ----------
    rank : number of this process, from 0; process 0 writes and reports.
    count : of all machines together.
    on_this_machine : number of processes here.
    """

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1

    @classmethod
    def here(cls) -> Processes:
        """As ``torchrun`` says in the environment; a process that it did not start is alone."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        rank, count, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        return cls(rank, count, local)

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def fabric(self, settings: FitSettings) -> Any:
        """The engine of the training loop, in touch with the other processes.

        Raises
        ------
        UsageError
            The device of the settings is not there.
        """
        import torch
        from lightning_fabric import Fabric

        if settings.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("`device` is cuda, but PyTorch finds no such GPU; leave it out, or choose cpu")
        precision = _precision(settings)
        if self.count == 1:
            return Fabric(accelerator=settings.device, devices=1, precision=precision)
        from lightning_fabric.strategies.ddp import DDPStrategy

        fabric = Fabric(
            accelerator=settings.device,
            devices=self.on_this_machine,
            num_nodes=self.count // self.on_this_machine,
            strategy=DDPStrategy(timeout=_PATIENCE, forward_sync_buffers=False),
            precision=precision,
        )
        self._meet(fabric.device.type)
        fabric.launch()
        return fabric

    def _meet(self, device: str) -> None:
        """Make the process group that Fabric will use, unless the processes of this start have met already."""
        import torch
        from torch.distributed import (  # type: ignore[attr-defined]  # torch lists no exports
            PrefixStore,
            TCPStore,
            init_process_group,
            is_initialized,
        )

        from facevalue.training.meeting import token_of_this_start

        if is_initialized():
            return
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        # False where the agent does not keep the store: then it is new at every start, and the first process has it.
        kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)
        store = TCPStore(
            host, port, self.count, is_master=self.leads and not kept, timeout=_PATIENCE, multi_tenant=not kept
        )
        init_process_group(
            "nccl" if device == "cuda" else "gloo",
            store=PrefixStore(token_of_this_start(store, self.rank, self.count, _PATIENCE), store),
            rank=self.rank,
            world_size=self.count,
            timeout=_PATIENCE,
        )

    def wait(self) -> None:
        """Wait until all processes are here, and part; they must have trained together."""
        if self.count > 1:
            import torch

            torch.distributed.barrier()
            torch.distributed.destroy_process_group()


def expect_alone(what: str) -> None:
    """Raise ``UsageError`` if ``torchrun`` has started several processes for work that cannot be shared out."""
    if Processes.here().count > 1:
        raise UsageError(f"{what} runs in one process; start it without torchrun")


def _precision(settings: FitSettings) -> Any:
    import torch

    if settings.precision == "auto":
        cuda = settings.device != "cpu" and torch.cuda.is_available()
        return "bf16-mixed" if cuda and torch.cuda.is_bf16_supported() else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[settings.precision]
