"""Write the page as a folder of static files that any host serves: no other request, no special headers."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facevalue.evidence.card import ModelCard
from facevalue.evidence.published import public_card
from facevalue.web.canaries import Canary
from facevalue.web.engine_files import ENGINES, NPM, EngineName
from facevalue.web.page import STATIC, page

SITE = "site.json"
"""What the page reads first: engines, files and canaries."""

MODELS: dict[EngineName, str] = {"litert": "model.tflite", "onnxruntime": "model.onnx"}
"""The network's file for each engine."""

_WORKER = "service-worker.js"
_PACKED = (".wasm", ".tflite", ".onnx")
_BARE = '"@litertjs/wasm-utils"'  # browsers cannot look up packages, and workers have no import map
_SOURCE_MAP = "\n//# sourceMappingURL="


def write_site(
    folder: Path,
    card: ModelCard,
    networks: Mapping[EngineName, Path],
    engines: Path,
    canaries: Sequence[Canary],
) -> None:
    """Write the site into an empty folder.

    Parameters
    ----------
    networks : the exported network for each engine; the first engine is the one that the page starts with.
    engines : as :func:`facevalue.web.engine_files.engine_folder` gives it.
    canaries : images with Python's answers.
    """
    shutil.copytree(STATIC, folder / "static")
    (folder / "index.html").write_text(page("browser"), encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(_readme(card), encoding="utf-8", newline="\n")
    parts: dict[str, Any] = {}
    for name, network in networks.items():
        (folder / "engine" / name).mkdir(parents=True)
        for file in ENGINES[name]:
            _copy_engine_file(engines / name / file.name, folder / "engine" / name)
        wasm = next(file.name for file in ENGINES[name] if file.name.endswith(".wasm"))
        parts[name] = {
            "model": _packed(network.read_bytes(), folder, f"model/{MODELS[name]}.gz"),
            "wasm": _packed((engines / name / wasm).read_bytes(), folder, f"engine/{name}/{wasm}.gz"),
        }
    shutil.copyfile(NPM / "LICENCES.txt", folder / "engine" / "LICENCES.txt")
    _write_json(folder / "model" / "card.json", public_card(card))
    site = {
        "format": 1,
        "facevalue": version("facevalue"),
        "card": "model/card.json",
        "engines": parts,
        "canaries": [_canary(one, i, folder) for i, one in enumerate(canaries)],
    }
    _write_json(folder / SITE, site)
    _write_service_worker(folder, first=next(iter(networks)))


def _copy_engine_file(path: Path, folder: Path) -> None:
    """Scripts as they are, but for the name of a package and the address of a source map."""
    if path.suffix == ".wasm":
        return
    text = path.read_text(encoding="utf-8").replace(_BARE, '"./wasm-utils.js"').partition(_SOURCE_MAP)[0]
    (folder / path.name).write_text(text, encoding="utf-8", newline="\n")


def _packed(data: bytes, folder: Path, name: str) -> dict[str, Any]:
    """Write bytes packed, and return what the page needs to fetch and check them."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 9, mtime=0))
    return {"path": name, "bytes": len(data), "crc32": zlib.crc32(data), "stored": path.stat().st_size}


def _canary(canary: Canary, place: int, folder: Path) -> dict[str, Any]:
    data = canary.file.data
    name = f"canary/{place:02d}{Path(canary.file.name).suffix}"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    file = {"path": name, "bytes": len(data), "crc32": zlib.crc32(data), "stored": len(data)}
    return {**canary.to_dict(), "file": file}


def _write_service_worker(folder: Path, first: EngineName) -> None:
    """The list of files that it keeps, and a version that changes with any of them.

    What only another engine than the first needs is kept once somebody has used it.
    """
    later = tuple(
        [f"engine/{name}/" for name in ENGINES if name != first]
        + [f"model/{MODELS[name]}" for name in ENGINES if name != first]
    )
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    kept = ["./", *(name for name in names if not name.startswith(later) and name != "README.md")]
    head = f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\nconst FILES = {json.dumps(kept)};\n\n"
    text = Path(__file__).with_name(_WORKER).read_text(encoding="utf-8")
    (folder / _WORKER).write_text(head + text, encoding="utf-8", newline="\n")


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _readme(card: ModelCard) -> str:
    """The header makes it a static Space on Hugging Face; other hosts pass it over."""
    title = " or ".join(card.classes) if len(card.classes) <= 3 else f"{len(card.classes)} classes"
    return f"""---
title: {json.dumps(title[:1].upper() + title[1:], ensure_ascii=False)}
emoji: 🔍
colorFrom: green
colorTo: gray
sdk: static
app_file: index.html
pinned: false
---

An image classifier that runs in the browser: images stay on the visitor's device. Made with facevalue
{version("facevalue")}; the model's card is `model/card.json`, the engines' licences are `engine/LICENCES.txt`.

Serve this folder from any static host, or look at it with `python -m http.server`.
"""
