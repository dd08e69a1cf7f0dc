"""Check before long work that an output folder can be created, and keep other processes from writing it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevalue.errors import FaceValueError, UsageError
from facevalue.support import files, locks, names


@contextmanager
def claimed(output: Path, mark: str, what: str, overwrite: bool) -> Iterator[Path]:
    """Check ``output`` as :func:`free_folder` does; no other process can claim it during the block.

    Raises
    ------
    UsageError
        As :func:`free_folder`.
    FaceValueError
        Another process has claimed it.
    """
    free_folder(output, mark, what, overwrite)
    with locked(output):
        free_folder(output, mark, what, overwrite)  # another process may have written it in between
        yield output


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Lock a folder that need not exist yet. A killed process leaves a lock file that blocks nobody.

    Raises
    ------
    FaceValueError
        Another process has locked it.
    """
    with _with_parents(output.resolve()) as target, locks.alone(lock_of(target)) as ours:
        if not ours:
            raise FaceValueError(
                f"another process is writing {output}; wait until it has ended, or choose another `output`"
            )
        yield


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Inside the block, an interruption says that the same command goes on from ``folder``, if that exists."""
    try:
        yield
    except KeyboardInterrupt as error:
        if folder.exists():
            raise KeyboardInterrupt(f"progress is saved in {folder}; run the same again to go on") from error
        raise


def lock_of(folder: Path, of: str = "") -> Path:
    """The hidden lock file beside a folder, which may be replaced as a whole while the lock is held."""
    return folder.with_name(f".{names.portable(folder.name, 200)}{of}.lock")


@contextmanager
def _with_parents(target: Path) -> Iterator[Path]:
    """Create the parents of ``target``, and remove those that are empty afterwards."""
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield target
    finally:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()


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
