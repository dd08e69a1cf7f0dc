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

import numpy as np

from facevalue.evidence.card import ModelCard
from facevalue.evidence.published import public_card
from facevalue.web.canaries import Canary
from facevalue.web.engine_files import ENGINES, NPM, EngineFile, EngineName
from facevalue.web.page import STATIC, page

SITE = "site.json"
"""What the page reads first: engines, files and canaries."""

MODELS: dict[EngineName, str] = {"litert": "model.tflite", "onnxruntime": "model.onnx"}
"""The network's file for each engine."""

_WORKER = "service-worker.js"
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
        place = folder / "engine" / name
        place.mkdir(parents=True)
        for file in ENGINES[name]:
            _copy_engine_file(file, engines / name, place)
        wasm = next(file for file in ENGINES[name] if file.is_packed)
        parts[name] = {
            "model": _network(network, folder / "model" / f"{MODELS[name]}.gz", folder),
            "wasm": _file(wasm.path(place), folder, wasm.read(place)),
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


def _copy_engine_file(file: EngineFile, source: Path, target: Path) -> None:
    """Scripts as they are, but for the name of a package and the address of a source map."""
    if file.is_packed:
        shutil.copyfile(file.path(source), file.path(target))
        return
    text = file.read(source).decode().replace(_BARE, '"./wasm-utils.js"').partition(_SOURCE_MAP)[0]
    (target / file.name).write_text(text, encoding="utf-8", newline="\n")


def _network(network: Path, path: Path, folder: Path) -> dict[str, Any]:
    """Write a network packed: its bytes as they are, or by their place in a number of four, whichever is smaller."""
    data = network.read_bytes()
    whole = len(data) // 4 * 4
    # The exponents of trained weights are alike: side by side they take a sixth less.
    by_place = np.frombuffer(data[:whole], np.uint8).reshape(-1, 4).T.tobytes() + data[whole:]
    plain, placed = (gzip.compress(one, 9, mtime=0) for one in (data, by_place))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(min(plain, placed, key=len))
    return {**_file(path, folder, data), "by_place": len(placed) < len(plain)}


def unpacked_network(folder: Path, engine: EngineName) -> bytes | None:
    """The network of a site for one engine, as it was exported; ``None`` if the site does not have this engine."""
    part = json.loads((folder / SITE).read_text(encoding="utf-8"))["engines"].get(engine)
    if part is None:
        return None
    data = gzip.decompress((folder / part["model"]["path"]).read_bytes())
    if not part["model"]["by_place"]:
        return data
    whole = len(data) // 4 * 4
    return np.frombuffer(data[:whole], np.uint8).reshape(4, -1).T.tobytes() + data[whole:]


def _file(path: Path, folder: Path, data: bytes) -> dict[str, Any]:
    """What the page needs to fetch and check a file: ``data`` are its bytes, unpacked."""
    name = path.relative_to(folder).as_posix()
    return {"path": name, "bytes": len(data), "crc32": zlib.crc32(data), "stored": path.stat().st_size}


def _canary(canary: Canary, place: int, folder: Path) -> dict[str, Any]:
    path = folder / f"canary/{place:02d}{Path(canary.file.name).suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(canary.file.data)
    return {**canary.to_dict(), "file": _file(path, folder, canary.file.data)}


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
