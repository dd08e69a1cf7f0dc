"""Code of all verbs: errors as one line, exit codes, ``--debug``, progress on standard error."""

from __future__ import annotations

import errno
import functools
import gc
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

from facevalue.cli.common import flags, legend
from facevalue.cli.common.reporters import reporter_for
from facevalue.errors import FaceValueError, MissingExtraError
from facevalue.evidence.provenance import asked_by
from facevalue.support import files, machine, progress

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

# The base class of typer's parser errors; only this subclass of it is public.
_WrongUse: type[Any] = typer.BadParameter.__bases__[0]

_typed: ContextVar[tuple[str, ...]] = ContextVar("facevalue_typed", default=())

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
ExplainFigures = Annotated[
    bool, typer.Option("--explain-figures", help="Also print what each figure means, one line each.")
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Seed of random draws, for reproducible results.")
]


def command_line() -> str:
    """What the user typed, quoted for a shell."""
    return files.as_text(shlex.join(["facevalue", *_typed.get()]))


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a function into a command: progress on standard error, errors as one line, ``--debug`` and ``--seed``.

    Every command accepts ``--seed``; it has no effect if the function does not take it. Commands that print figures
    accept ``--explain-figures``.
    """
    signature = inspect.signature(function, eval_str=True)
    names = flags.of(signature)
    added = [inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)]
    if "seed" not in signature.parameters:
        added.insert(0, inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Seed))
    if "json" in signature.parameters:  # it prints figures
        explain = inspect.Parameter(
            "explain_figures", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=ExplainFigures
        )
        added.insert(0, explain)
    own = {p.name for p in added}

    @functools.wraps(function)
    def wrapped(**given: Any) -> None:
        try:
            with (
                reporter_for(Console(stderr=True)) as reporter,
                progress.using(reporter),
                asked_by(command_line()),
                flags.using(names),
                legend.asked(given.get("explain_figures", False)),
            ):
                function(**{name: value for name, value in given.items() if name not in own})
        except typer.Exit:
            raise
        except BaseException as error:
            if given["debug"] and isinstance(error, Exception):
                raise
            line, code = message_of(error)
            if line:
                say_error(flags.translated(line, names))
            raise typer.Exit(code) from None

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    wrapped.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*parameters, *added]}
    return wrapped


def message_of(error: BaseException) -> tuple[str, int]:
    """An error as one line, and the exit code; the line is empty if nothing should be printed."""
    match error:
        case FaceValueError():
            return _one_line(error), error.exit_code
        case KeyboardInterrupt():
            return f"interrupted; {_one_line(error) or 'nothing was left half-written'}", INTERRUPTED
        case SystemExit():
            return "", error.code if isinstance(error.code, int) else FAILED
        case OSError() if _reader_has_gone(error):
            return "", FAILED
        case ModuleNotFoundError() if (missing := MissingExtraError.of(error)) is not None:
            return str(missing), missing.exit_code
        case OSError() if error.errno == errno.ENOSPC:
            return "the disk is full; free some space and run again", FAILED
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, FAILED
    if isinstance(error, MemoryError) or _ran_out_of_memory(error):
        return "out of memory; a smaller --batch-size or --size may help", FAILED
    return f"unexpected {type(error).__name__}: {_one_line(error)} (run again with --debug for the traceback)", FAILED


def _reader_has_gone(error: OSError) -> bool:
    """Whether the reader of our output has ended, as in ``facevalue predict … | head``."""
    gone_on_windows = os.name == "nt" and error.errno == errno.EINVAL and not error.filename
    return isinstance(error, BrokenPipeError) or gone_on_windows


def _ran_out_of_memory(error: BaseException) -> bool:
    # torch raises its own error class on an accelerator and a plain RuntimeError on the CPU.
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error)


def say_error(line: str) -> None:
    """Print one line on standard error."""
    print(f"error: {line}", file=sys.stderr, flush=True)


def run(command: Callable[..., Any], arguments: Sequence[str]) -> int:
    """Run a typer command with these arguments; returns the exit code."""
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
"""Verbs without training. A server should return the memory of a large upload to the system."""


def prepare_process(arguments: Sequence[str] = ()) -> None:
    """Set what a library must not change: signals, warnings, text encoding, memory and threads of the process.

    Parameters
    ----------
    arguments : those after ``facevalue``.
    """
    # A signal raises SystemExit, so that unfinished files are removed. Windows sends SIGBREAK (Ctrl-Break, a closed
    # window) instead of SIGTERM.
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    # Pillow warns about unusual files that it can read.
    warnings.filterwarnings("ignore", module="PIL")
    # Windows writes redirected text in a regional code page, which lacks the characters of many file names.
    if "PYTHONIOENCODING" not in os.environ:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if next(iter(arguments), "") not in _RUNTIME_VERBS:
        # Keep freed memory for the next batch: returning it to the system takes about half of the time on a CPU.
        machine.keep_memory()
        # Importing torch and others makes half a million objects that stay. Looking through them for garbage as often
        # as Python does by default takes a quarter of the time of a small training.
        gc.set_threshold(50_000, 20, 100)
    # torch and other libraries do not know a container's processor limit.
    if machine.threads() < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(machine.threads()))
    machine.wait_briefly()


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


def flush() -> int:
    """Flush standard output; returns exit code 1 if its reader has ended."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not _reader_has_gone(error):
            raise
        # Python would flush again at exit and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return DONE
