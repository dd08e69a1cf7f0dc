"""Removes from this process what Windows lacks and forbids, before the package is imported.

Run as ``python windows.py PROGRAM.py ARGUMENTS``. It shows what our code asks of the system, not how Windows behaves:
``os.name`` and ``sys.platform`` stay, since the libraries below us were built for this one.

- Modules that are not there: ``fcntl``, ``resource``, ``pwd``, … Libraries may have theirs; what the package imports is
  refused.
- Functions that are not there: ``os.fork``, ``os.pread``, … and signals.
- A file that this process has open, or mapped, can be neither removed nor replaced, nor a folder above it moved.
- A file name that Windows forbids cannot be made.
- Text that is read or written without a stated encoding is an error.
"""

from __future__ import annotations

import builtins
import gc
import io
import os
import re
import runpy
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MISSING_MODULES = frozenset("fcntl resource pwd grp termios tty pty syslog posix".split())
MISSING_IN_OS = """
    fork forkpty pread preadv pwrite pwritev posix_fallocate posix_fadvise sched_getaffinity sched_setaffinity
    geteuid getuid getegid getgid getgroups mkfifo mknod chown lchown fchown statvfs killpg setsid sysconf uname
    O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK wait wait3 wait4 nice getloadavg confstr sendfile
""".split()
MISSING_SIGNALS = "SIGKILL SIGHUP SIGALRM SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGQUIT SIGXFSZ SIGSTOP SIGCONT".split()
FORBIDDEN = re.compile(r'[\x00-\x1f<>:"\\|?*]|[. ]$|^(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?$', re.IGNORECASE)


def _ours(name: str) -> bool:
    """Whether it is the package, rather than a library that knows its own way on Windows."""
    return name.partition(".")[0] == "facevalue"


class _Lacking:
    """A module as our own code sees it; libraries see all of it."""

    def __init__(self, module: Any, missing: list[str]) -> None:
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_missing", frozenset(missing))

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"module {self._module.__name__!r} has no attribute {name!r}")
        return getattr(self._module, name)


def lack_modules_and_functions() -> None:
    """What the package imports is refused, or lacks what Windows lacks."""
    real = builtins.__import__
    poor = {"os": _Lacking(os, MISSING_IN_OS), "signal": _Lacking(signal, MISSING_SIGNALS)}

    def importing(name: str, namespace: Any = None, *rest: Any, **more: Any) -> Any:
        ours = _ours((namespace or {}).get("__name__", ""))
        if ours and name.partition(".")[0] in MISSING_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        found = real(name, namespace, *rest, **more)
        return poor[name] if ours and name in poor else found

    builtins.__import__ = importing


def _open_files() -> set[str]:
    """Paths that this process has open or mapped."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found.add(os.readlink(f"/proc/self/fd/{entry}"))  # noqa: PTH115
        except OSError:
            continue
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123
        found.update(line.split(maxsplit=5)[5].rstrip("\n") for line in maps if line.count("/"))
    return found


def _absolute(path: Any, folder: int | None) -> str:
    name = os.fsdecode(path)
    if folder is not None:
        name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)  # noqa: PTH115, PTH118
    return os.path.abspath(name)  # noqa: PTH100


def hold_open_files() -> None:
    """Removing, replacing and moving what is open is refused, as Windows does."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **more: Any) -> Any:
            names = [_absolute(path, more.get("dir_fd", more.get("src_dir_fd")))]
            if rest:
                names.append(_absolute(rest[0], more.get("dst_dir_fd")))
            for held in _open_files() if not isinstance(path, int) else ():
                for name in names:
                    # A folder that is removed may itself be open: shutil does so here and not there.
                    if os.path.isfile(held) and (held == name or held.startswith(name + os.sep)):  # noqa: PTH113
                        raise PermissionError(13, "is open, and Windows would not allow this", name)
            return real(path, *rest, **more)

        return call

    for name in ("unlink", "remove", "rename", "replace"):
        setattr(os, name, guarded(getattr(os, name)))


def refuse_names() -> None:
    """No file or folder of a name that Windows forbids, and no text without an encoding from our own code."""

    def asked(path: Any) -> None:
        if not isinstance(path, int) and FORBIDDEN.search(os.path.basename(os.fsdecode(path).rstrip("/"))):  # noqa: PTH119
            raise OSError(22, "Windows forbids this name", os.fsdecode(path))

    real_open, real_mkdir = io.open, os.mkdir

    def opening(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if any(letter in mode for letter in "wxa"):
            asked(file)
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if _ours(caller) and "b" not in mode and "encoding" not in more:
            raise AssertionError(f"{caller} opens {file} without saying its encoding")
        return real_open(file, mode, *rest, **more)

    def making(path: Any, *rest: Any, **more: Any) -> None:
        asked(path)
        real_mkdir(path, *rest, **more)

    io.open = builtins.open = opening  # type: ignore[assignment]
    os.mkdir = making


def become_windows() -> None:
    if not sys.flags.warn_default_encoding:
        raise SystemExit("run with -X warn_default_encoding")
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=r"facevalue(\.|$)")
    lack_modules_and_functions()
    hold_open_files()
    refuse_names()


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as the command line does: it will import everything
    become_windows()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
