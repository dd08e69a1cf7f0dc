"""The official library in another build, version and environment says the same of drawn files."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from facevalue.marks import MarkReader

from ..serve.test_mutated_files import mutated
from .signing import MIMES
from .test_credentials import cut, one_byte, resaved

VERSION = "0.15.0"
"""Of @contentauth/c2pa-wasm. Its makers' command line tool, c2patool, is in no registry as a program."""


@pytest.mark.slow
@pytest.mark.network
def test_the_same_states(
    root: Path, signed: dict[str, bytes], trust_list: Path, foreign_list: Path, tmp_path: Path
) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", f"@contentauth/c2pa-wasm@{VERSION}"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    rng = random.Random(6)
    files: list[tuple[str, bytes]] = []
    for name, data in signed.items():
        start = data.index(b"c2pa") - 40
        bad = [data[:start] + mutated(data[start:], rng) for _ in range(20)]
        files += [(MIMES[name], one) for one in (data, one_byte(data), resaved(data), cut(data), *bad)]
    given = []
    for i, (mime, data) in enumerate(files):
        (tmp_path / str(i)).write_bytes(data)
        given.append(f"{mime}={tmp_path / str(i)}")
    program = root / "tests" / "environments" / "c2pa_reader.mjs"
    for path in (None, trust_list, foreign_list):
        command = [node, str(program), str(path or "-"), *given]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        with MarkReader(path) as reader:
            found = [reader.of(data).credentials.state for _, data in files]
        assert found == done.stdout.splitlines()
