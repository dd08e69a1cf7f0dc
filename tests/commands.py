"""``facevalue`` commands for tests, forked from a process that has imported PyTorch and other large libraries.

Importing these takes two to three seconds of processor time, and the default tests run more than a hundred commands.
One process per test worker imports them once, and forks for each command: the child has the caller's arguments,
environment, working folder and file descriptors, imports facevalue, and runs the same ``main``.

Commands are started from nothing, as users do it, on other systems than Linux, where coverage is measured (``make
test-all``), and in tests of the README, signals, limits and imports. Those of other users have a process of their own
to fork from.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

FROM_NOTHING = (sys.executable, "-m", "facevalue")


@functools.cache
def facevalue(*before: str) -> tuple[str, ...]:
    """The words with which a command begins; arguments follow.

    Parameters
    ----------
    before : words in front of the program, such as ``setpriv``, that change what its processes may do.
    """
    if sys.platform != "linux" or "COVERAGE_PROCESS_CONFIG" in os.environ:
        return (*before, *FROM_NOTHING)
    folder = tempfile.mkdtemp(prefix="facevalue-")  # a socket's path has at most 107 bytes
    address = f"{folder}/socket"
    server = subprocess.Popen(
        [*before, sys.executable, __file__, "serve", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(_end, server, folder)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return (sys.executable, "-I", "-S", __file__, "run", address)


def _end(server: subprocess.Popen[bytes], folder: str) -> None:
    """The server ends where its standard input closes, so also where this process is killed."""
    server.communicate()
    shutil.rmtree(folder, ignore_errors=True)


def in_folder(folder: Path) -> Path:
    """A folder for PATH with a program ``facevalue``."""
    folder.mkdir()
    program = folder / "facevalue"
    program.write_text(f'#!/bin/sh\nexec {" ".join(facevalue())} "$@"\n')
    program.chmod(0o755)
    return folder


# The client.


def run(address: str, arguments: list[str]) -> int:
    """Have the server run a command; ends by the same signal as the command if one ended it."""
    asked = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    body = json.dumps(asked).encode("ascii")  # names that are not UTF-8 stay as they are
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(body).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(body)
        answer = connection.recv(4)
    code = int.from_bytes(answer, "big", signed=True) if answer else -signal.SIGKILL
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


# The server.


def serve(address: str) -> None:
    """Import the libraries, then fork for each command until standard input closes."""
    _import_libraries()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _command(connection)
            connection.close()


LIBRARIES = """
    captum.attr cleanlab.filter jinja2 lightning_fabric matplotlib.backends.backend_agg matplotlib.backends.backend_svg
    onnx pandas pyarrow.parquet rich.progress scipy.optimize scipy.signal scipy.stats sklearn.ensemble
    sklearn.linear_model sklearn.metrics sklearn.model_selection torch._dynamo torch.onnx
""".split()
"""Not facevalue, whose imports each command tests; not ONNX Runtime, which starts a thread, which a fork lacks; and not
the Hub's client, which reads the environment when it is imported."""


def _import_libraries() -> None:
    import gc
    import importlib

    for name in LIBRARIES:
        importlib.import_module(name)
    assert not {"onnxruntime", "huggingface_hub"} & sys.modules.keys()
    assert "facevalue" not in sys.modules
    gc.freeze()


def _command(connection: socket.socket) -> NoReturn:
    """Run a command in a child, and send its exit code; end it if the client goes away."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as stream:
        asked: dict[str, Any] = json.loads(stream.read(int.from_bytes(head, "big")))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(asked, descriptors)
        from facevalue.cli import main

        main()
        raise AssertionError("main ends the process")
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os._exit(0)


def _become(asked: dict[str, Any], descriptors: list[int]) -> None:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["facevalue", *asked["arguments"]]


if __name__ == "__main__":
    sys.exit(run(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "run" else serve(sys.argv[2]))
