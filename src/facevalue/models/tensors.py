"""Tables of tensors: safetensors files, which hold numbers and no code, and a digest over their contents."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name; they must not share memory.

    Raises
    ------
    OSError
        Writing failed. (safetensors puts the operating system's error code into the text of its own exception.)
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        code = re.search(
            r"(?:\(os error |Os \{ code: )(\d+)", str(error)
        )  # two formats: from safetensors 0.6 on, and before
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, independent of the order."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
