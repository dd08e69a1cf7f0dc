"""A process that reads facts of files; :mod:`facevalue.data.facts_pool` starts it.

Standard input: lines of JSON, each a list of paths. Standard output: for each of them a line with the list of facts.
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


def serve() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks; it closes the input
    warnings.filterwarnings("ignore", module="PIL")  # about unusual files that it can read
    machine.keep_memory()  # images are of about one size: a fifth of the time is saved
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write between the answers
    for line in sys.stdin.buffer:
        facts = [facts_of(Path(path)) for path in json.loads(line)]
        answers.write(json.dumps(facts).encode() + b"\n")
        answers.flush()
