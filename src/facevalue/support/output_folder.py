"""Asking, before long work, whether a folder can be made where the user wants it."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.support import files


def free_folder(output: Path, mark: str, what: str, overwrite: bool) -> None:
    """Ask that nothing stands at ``output``, or a folder that may be replaced: one that holds the file ``mark``.

    Raises
    ------
    UsageError
        The place is taken, is not writable, or cannot be replaced as a whole; the message says what to do.
    """
    if files.as_text(str(output)) != str(output):
        raise UsageError(f"{files.as_text(str(output))} is not UTF-8; choose another `output`")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        if not (output / mark).is_file():
            raise UsageError(f"{output} is there and is not {what}; choose another `output`")
        if not overwrite:
            raise UsageError(f"{output} is {what} already; choose another `output`, or give `overwrite`")
    # A folder is replaced whole, which neither a mounted one nor the one that the user stands in survives.
    if output.is_mount() or output.resolve() == Path.cwd():
        raise UsageError(f"{output} cannot be replaced where it is; choose a folder inside it as `output`")
    files.check_writable(output.resolve())
