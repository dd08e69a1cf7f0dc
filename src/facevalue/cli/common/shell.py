"""What all verbs share: errors as one line, exit codes, ``--debug``, progress on standard error."""

from __future__ import annotations

import errno
import functools
import inspect
import io
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from facevalue.cli.common import flags
from facevalue.cli.common.reporters import reporter_for
from facevalue.errors import FaceValueError, MissingExtraError
from facevalue.evidence.provenance import asked_by
from facevalue.support import files, machine, progress

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

# typer hands the errors of its parser on under this one public name's base.
_WrongUse: type[Any] = typer.BadParameter.__bases__[0]

_typed: ContextVar[tuple[str, ...]] = ContextVar("facevalue_typed", default=())

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same answer. No effect where nothing is drawn.")
]

# The package whose absence means that an extra was not installed.
_EXTRAS = {
    "train": "captum jinja2 lightning_fabric matplotlib onnx onnxscript pandas pyarrow safetensors scipy skimage"
    " sklearn timm torch torchvision",
    "tune": "optuna",
    "serve": "fastapi httptools multipart prometheus_client python_multipart uvicorn uvloop",
}


def command_line() -> str:
    """What the user typed, as a shell would take it."""
    return files.as_text(shlex.join(["facevalue", *_typed.get()]))


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command: progress on standard error, errors as one line, ``--debug`` and ``--seed``.

    ``--seed`` is added where the function does not take it, since every command accepts it.
    """
    signature = inspect.signature(function, eval_str=True)
    names = flags.of(signature)
    added = [inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)]
    if "seed" not in signature.parameters:
        added.insert(0, inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Seed))
    own = {p.name for p in added}

    @functools.wraps(function)
    def wrapped(**given: Any) -> None:
        try:
            with (
                reporter_for(Console(stderr=True)) as reporter,
                progress.using(reporter),
                asked_by(command_line()),
                flags.using(names),
            ):
                function(**{name: value for name, value in given.items() if name not in own})
        except typer.Exit:
            raise
        except BaseException as error:
            if given["debug"] and isinstance(error, Exception):
                raise
            line, code = told(error)
            if line:
                say_error(flags.shown(line, names))
            raise typer.Exit(code) from None

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    wrapped.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*parameters, *added]}
    return wrapped


def told(error: BaseException) -> tuple[str, int]:
    """An error as one line for people, and the exit code; the line is empty where nothing is to be said."""
    match error:
        case FaceValueError():
            return _one_line(error), error.exit_code
        case KeyboardInterrupt():
            return f"interrupted; {_one_line(error) or 'nothing was left half-written'}", INTERRUPTED
        case SystemExit():
            return "", error.code if isinstance(error.code, int) else FAILED
        case OSError() if _reader_has_gone(error):
            return "", FAILED
        case ModuleNotFoundError():
            package = (error.name or "").partition(".")[0]
            for extra, packages in _EXTRAS.items():
                if package in packages.split():
                    missing = MissingExtraError(package, extra)
                    return str(missing), missing.exit_code
        case OSError() if error.errno == errno.ENOSPC:
            return "the disk is full; free some space and run again", FAILED
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, FAILED
    if isinstance(error, MemoryError) or _ran_out_of_memory(error):
        return "out of memory; a smaller --batch-size or --size may help", FAILED
    return f"unexpected {type(error).__name__}: {_one_line(error)} (run again with --debug for the traceback)", FAILED


def _reader_has_gone(error: OSError) -> bool:
    """Whether whoever read our output has gone, as ``facevalue predict … | head`` does."""
    gone_on_windows = os.name == "nt" and error.errno == errno.EINVAL and not error.filename
    return isinstance(error, BrokenPipeError) or gone_on_windows


def _ran_out_of_memory(error: BaseException) -> bool:
    # torch has a class of its own for this on an accelerator and a plain RuntimeError on the CPU.
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def say_error(line: str) -> None:
    """One line on standard error."""
    print(f"error: {line}", file=sys.stderr, flush=True)


def run(command: Callable[..., Any], arguments: Sequence[str]) -> int:
    """Run a typer command on what was typed; returns the exit code."""
    token = _typed.set(tuple(arguments))
    try:
        code = command(args=list(arguments), prog_name="facevalue", standalone_mode=False)
    except _WrongUse as error:
        say_error(_usage(error))
        return WRONG_USE
    except OSError as error:
        if not _reader_has_gone(error):
            raise
        return FAILED
    finally:
        _typed.reset(token)
    return code if isinstance(code, int) else DONE


def _usage(error: Any) -> str:
    where = error.ctx.command_path if error.ctx is not None else "facevalue"
    return f"{_one_line(error.format_message()).rstrip('.')}; see: {where} --help"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


_RUNTIME_VERBS = ("predict", "serve")
"""They run no training, and a server should give the memory of a large upload back."""


def prepare_process(arguments: Sequence[str] = ()) -> None:
    """What belongs to a process of our own and not to a library: signals, warnings, text, memory and threads.

    Parameters
    ----------
    arguments : what was typed after ``facevalue``.
    """
    # Ending by a signal unwinds, so that what was being written is removed. Windows sends SIGBREAK (Ctrl-Break, a
    # window that is closed) where others send SIGTERM.
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    # Decoders warn about oddities of files that they read all the same.
    warnings.filterwarnings("ignore", module="PIL")
    # Windows writes redirected text in the code page of the region, which lacks most file names.
    if "PYTHONIOENCODING" not in os.environ:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # Freed memory is kept for the next batch: giving it back costs a network about half of its time on a CPU.
    if next(iter(arguments), "") not in _RUNTIME_VERBS:
        machine.keep_memory()
    # torch and others count processors, but not a container's limit.
    if machine.threads() < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(machine.threads()))


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


def flush() -> int:
    """Flush standard output; the exit code is 1 where its reader has gone."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not _reader_has_gone(error):
            raise
        # Python would try once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DONE
