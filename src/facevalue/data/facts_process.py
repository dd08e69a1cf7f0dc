"""A process that reads facts of files; :mod:`facevalue.data.facts_pool` starts it.

Standard input: lines of JSON, each a number and a list of paths. Standard output: for each of them a line with that
number and the list of facts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

from facevalue.data.file_facts import facts_of
from facevalue.support import machine

_LARGE = 10_000_000  # pixels; the memory of larger images is not kept


def serve() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks; it closes the input
    warnings.filterwarnings("ignore", module="PIL")  # about unusual files that it can read
    machine.keep_memory()  # images are of about one size: a fifth of the time is saved
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write between the answers
    for line in sys.stdin.buffer:
        number, paths = json.loads(line)
        facts = [facts_of(Path(path)) for path in paths]
        answers.write(json.dumps([number, facts]).encode() + b"\n")
        answers.flush()
        if any(one["width"] * one["height"] > _LARGE for one in facts):
            machine.trim_memory()
