"""Check before long work that an output folder can be created."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.support import files


def free_folder(output: Path, mark: str, what: str, overwrite: bool) -> None:
    """Check that ``output`` does not exist, is empty, or may be replaced.

    Parameters
    ----------
    mark : a folder that holds a file of this name may be replaced.
    what : description of such a folder, for messages.
    overwrite : whether the user allows to replace it.

    Raises
    ------
    UsageError
        ``output`` exists, is not writable, or cannot be replaced as a whole.
    """
    if files.as_text(str(output)) != str(output):
        raise UsageError(f"{files.as_text(str(output))} is not UTF-8; choose another `output`")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        if not (output / mark).is_file():
            raise UsageError(f"{output} already exists and is not {what}; choose another `output`")
        if not overwrite:
            raise UsageError(f"{output} is already {what}; choose another `output`, or give `overwrite`")
    # The folder is replaced as a whole; that is not possible for a mount point or the current folder.
    if output.is_mount() or output.resolve() == Path.cwd():
        raise UsageError(
            f"{output} is a mount point or the current folder and cannot be replaced; choose a folder inside it as "
            "`output`"
        )
    files.check_writable(output.resolve())
