"""What every test worker would make again is made once for all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facevalue.support import locks


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` has filled. The first worker to ask makes it, and others wait; it must not be changed."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers of this run
    folder, whole = base / f"shared-{name}", base / f"shared-{name}.whole"
    with locks.alone(base / f"shared-{name}.lock", wait=250) as ours:
        assert ours, f"another worker has been making {folder} for minutes"
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
