"""Files of npm packages that run a network in a browser: found in this installation, or fetched once into the cache.

``python -m facevalue.web.engine_files`` puts them into the package, for a wheel that carries them (``make wheel``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facevalue.errors import FaceValueError, UsageError
from facevalue.support import files, progress

EngineName = Literal["litert", "onnxruntime"]

NPM = Path(__file__).with_name("npm")
"""``package.json`` with exact versions, and ``package-lock.json`` with the packages' hashes."""

CARRIED = Path(__file__).with_name("engines")
"""Where a wheel carries the files; not in the repository."""

_MODULES = "node_modules"


@dataclass(frozen=True)
class EngineFile:
    """One file: where npm puts it, its name here, and its SHA-256. WebAssembly is kept packed, as sites have it."""

    origin: str
    name: str
    sha256: str

    @property
    def is_packed(self) -> bool:
        """Whether the file is kept as ``NAME.gz``."""
        return self.name.endswith(".wasm")

    def path(self, folder: Path) -> Path:
        """Where it lies in an engine's folder."""
        return folder / (f"{self.name}.gz" if self.is_packed else self.name)

    def read(self, folder: Path) -> bytes:
        """Its bytes, as npm gave them; raises ``OSError`` or ``EOFError`` if they cannot be read."""
        data = self.path(folder).read_bytes()
        return gzip.decompress(data) if self.is_packed else data

    def write(self, folder: Path, data: bytes) -> None:
        """Keep its bytes; the same ones give the same file."""
        self.path(folder).write_bytes(gzip.compress(data, 9, mtime=0) if self.is_packed else data)


ENGINES: dict[EngineName, tuple[EngineFile, ...]] = {
    "litert": (
        EngineFile(
            "@litertjs/core/dist/index.js",
            "index.js",
            "e7daccc3a31eef890848a737ccb863ded5f046a6b40c3fdc0556495adeb5d9b3",
        ),
        EngineFile(
            "@litertjs/wasm-utils/dist/index.js",
            "wasm-utils.js",
            "e0e20bc28ab001ac732cf40d15b6eebd24fb0deaeb95eeba5100f51eebf015f2",
        ),
        EngineFile(
            "@litertjs/core/wasm/litert_wasm_internal.js",
            "litert_wasm_internal.js",
            "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
        ),
        EngineFile(
            "@litertjs/core/wasm/litert_wasm_internal.wasm",
            "litert_wasm_internal.wasm",
            "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
        ),
    ),
    "onnxruntime": (
        EngineFile(
            "onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
            "ort.wasm.bundle.min.mjs",
            "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        ),
        EngineFile(
            "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
            "ort-wasm-simd-threaded.wasm",
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        ),
    ),
}


def missing() -> str | None:
    """Why the files cannot be had on this machine, and what to do; ``None`` if they are here, or npm is."""
    if CARRIED.is_dir() or _cached().is_dir() or shutil.which("npm") is not None:
        return None
    return (
        "the web page needs files of LiteRT.js and ONNX Runtime Web, which this installation does not carry; "
        "install Node.js, which brings npm, and run again"
    )


def engine_folder() -> Path:
    """A folder with one folder an engine, every file as in :data:`ENGINES`.

    In this order: what the wheel carries, what an earlier call has fetched, and npm.

    Raises
    ------
    UsageError
        The files are not here, and npm is not installed.
    FaceValueError
        npm cannot fetch them, or gave other files.
    """
    folder = CARRIED if CARRIED.is_dir() else _cached()
    if not folder.is_dir():
        fetch(folder)
    expect_unchanged(folder)
    return folder


def versions() -> dict[str, str]:
    """The packages and their versions."""
    found: dict[str, str] = json.loads((NPM / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return found


def _cached() -> Path:
    lock = hashlib.sha256((NPM / "package-lock.json").read_bytes()).hexdigest()[:12]
    return files.cache_folder() / "web-engines" / lock


def expect_unchanged(folder: Path) -> None:
    """Compare every file with its SHA-256.

    Raises
    ------
    FaceValueError
        A file is missing or another one.
    """
    for engine, members in ENGINES.items():
        for file in members:
            try:
                data = file.read(folder / engine)
            except (OSError, EOFError, zlib.error):
                data = b""
            if hashlib.sha256(data).hexdigest() != file.sha256:
                path = file.path(folder / engine)
                raise FaceValueError(f"{path} is missing or was changed; remove {folder} and run again")


def fetch(target: Path) -> None:
    """Fetch the packages with npm, which compares them with the lock file's hashes, and keep the files in ``target``.

    Raises
    ------
    UsageError
        npm is not installed.
    FaceValueError
        npm cannot fetch them, or gave other files.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(missing() or "npm is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="facevalue-") as work,
        progress.work("fetching LiteRT.js and ONNX Runtime Web with npm"),
    ):
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(NPM / name, Path(work) / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["npm gave no reason"]
            raise FaceValueError(f"npm cannot fetch LiteRT.js and ONNX Runtime Web: {lines[0].strip()[:200]}")
        with files.replacing_folder(target) as partial:
            for engine, members in ENGINES.items():
                (partial / engine).mkdir()
                for file in members:
                    file.write(partial / engine, (Path(work) / _MODULES / file.origin).read_bytes())
            expect_unchanged(partial)
    progress.note(f"fetched LiteRT.js and ONNX Runtime Web with npm into {target}; every file has the expected hash")


if __name__ == "__main__":
    shutil.rmtree(CARRIED, ignore_errors=True)
    fetch(CARRIED)
