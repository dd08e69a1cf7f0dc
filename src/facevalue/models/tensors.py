"""Tables of tensors on disk: safetensors, which hold numbers and nothing that runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name; they must not share memory.

    Raises
    ------
    OSError
        As any writing does. (safetensors says what the system told it in the text of an error of its own.)
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error
