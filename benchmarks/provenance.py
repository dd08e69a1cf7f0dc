"""Content Credentials over drawn files: the state of each, beside the official reader's, and what reading marks costs.

``python -m benchmarks.provenance [--images 20] [--rounds 5] [--mutations 1000]``. Each drawn image is signed by a test
authority, and then changed in one byte, stripped of its manifest, saved again or cut. Speed: predictions of 512 x 512
JPEGs with marks and without run in turns; the best round of each counts.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
from PIL import Image
from tests.marks.conftest import exif
from tests.marks.signing import MIMES, authority, manifest
from tests.serve.test_mutated_files import mutated

from benchmarks.common import facevalue, keep, mobilenet
from facevalue.data.embedded import write_lfw_subset
from facevalue.marks import MarkReader
from facevalue.runtime import open_folder

SIDE = 512


def drawn(seed: int, format_: str, **extra: object) -> bytes:
    """A smooth image with some noise, as a file."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    pixels = np.clip(np.asarray(coarse, int) + rng.integers(-8, 9, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_, **extra)
    return stream.getvalue()


def one_byte(data: bytes, plain: bytes, rng: random.Random) -> bytes:
    """One byte of the image data changed, wherever the manifest lies."""
    at = data.rindex(plain[-1000:-200]) + rng.randrange(800)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def saved_again(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    stream = io.BytesIO()
    image.save(stream, image.format)
    return stream.getvalue()


def official(data: bytes, mime: str, anchors: str | None) -> str:
    """The state by c2pa-python's own reader in this process."""
    trust = {} if anchors is None else {"trust": {"user_anchors": anchors}}
    settings = c2pa.Settings.from_dict({"verify": {"remote_manifest_fetch": False}, **trust})
    try:
        reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=c2pa.Context(settings))
    except c2pa.C2paError:
        return "unreadable"
    return "none" if reader is None else str(json.loads(reader.json())["validation_state"]).lower()


def states(images: int, folder: Path) -> dict[str, Any]:
    """States by kind of file and trust list, with how many agree with what is expected and with the official reader."""
    own, foreign = authority("Own"), authority("Foreign")
    lists: dict[str, Path | None] = {"none": None, "own": folder / "own.pem", "foreign": folder / "foreign.pem"}
    (folder / "own.pem").write_bytes(own.root)
    (folder / "foreign.pem").write_bytes(foreign.root)
    rng = random.Random(0)
    kinds: dict[str, tuple[Callable[[bytes, bytes], bytes], dict[str, str]]] = {
        "signed": (lambda signed, _: signed, {"none": "valid", "own": "trusted", "foreign": "valid"}),
        "one byte changed": (lambda signed, plain: one_byte(signed, plain, rng), dict.fromkeys(lists, "invalid")),
        "stripped": (lambda _, plain: plain, dict.fromkeys(lists, "none")),
        "saved again": (lambda signed, _: saved_again(signed), dict.fromkeys(lists, "none")),
        "cut in half": (lambda signed, _: signed[: len(signed) // 2], dict.fromkeys(lists, "unreadable")),
    }
    rows = []
    for format_, mime in MIMES.items():
        pairs = [(own.sign(plain, mime, manifest()), plain) for plain in (drawn(i, format_) for i in range(images))]
        for kind, (change, expected) in kinds.items():
            files = [change(signed, plain) for signed, plain in pairs]
            for name, path in lists.items():
                anchors = None if path is None else path.read_text()
                with MarkReader(path) as reader:
                    found = [reader.of(data).credentials.state for data in files]
                same = sum(state == official(data, mime, anchors) for state, data in zip(found, files, strict=True))
                rows.append(
                    {
                        "format": format_,
                        "file": kind,
                        "trust_list": name,
                        "n": len(files),
                        "expected": expected[name],
                        "states": dict(Counter(found)),
                        "as_expected": found.count(expected[name]),
                        "as_official_reader": same,
                    }
                )
    n = sum(row["n"] for row in rows)
    return {
        "n": n,
        "as_expected": sum(row["as_expected"] for row in rows),
        "as_official_reader": sum(row["as_official_reader"] for row in rows),
        "rows": rows,
    }


def speed(model: Path, images: int, rounds: int) -> dict[str, Any]:
    """Milliseconds per image with marks and without, and their ratio, for files with and without marks."""
    own = authority("Own")
    tags = exif(make="Maker", model="X1", software="Editor 5")
    plain = [drawn(i, "JPEG", quality=90) for i in range(images)]
    sets = {
        "no marks": plain,
        "EXIF": [drawn(i, "JPEG", quality=90, exif=tags) for i in range(images)],
        "signed": [own.sign(data, "image/jpeg", manifest()) for data in plain],
    }
    predictor = open_folder(model)
    found = {}
    for name, files in sets.items():
        best = {"without": float("inf"), "with": float("inf"), "marks_alone": float("inf")}
        with MarkReader() as reader:
            reader.of(files[0])  # the process that checks has started
            for _ in range(rounds):
                for side, marks in (("without", None), ("with", reader)):
                    start = time.perf_counter()
                    predictor.predict(list(files), marks=marks)
                    best[side] = min(best[side], time.perf_counter() - start)
                start = time.perf_counter()
                for data in files:
                    reader.of(data)
                best["marks_alone"] = min(best["marks_alone"], time.perf_counter() - start)
        each = {side: round(1000 * seconds / len(files), 3) for side, seconds in best.items()}
        found[name] = {
            "n": len(files),
            "bytes_per_file": sum(map(len, files)) // len(files),
            "ms_per_image": each,
            "ratio_with_to_without": round(best["with"] / best["without"], 3),
        }
    start = time.perf_counter()
    with MarkReader() as reader:
        reader.of(sets["signed"][0])
        found["first_signed_file_ms"] = round(1000 * (time.perf_counter() - start), 1)
    return found


def mutations(n: int) -> dict[str, Any]:
    """States of mutated signed files, and the slowest."""
    own = authority("Own")
    rng = random.Random(1)
    signed = [own.sign(drawn(0, name), mime, manifest()) for name, mime in MIMES.items()]
    counts: Counter[str] = Counter()
    slowest = 0.0
    with MarkReader() as reader:
        for i in range(n):
            data = signed[i % len(signed)]
            start = data.index(b"c2pa") - 40
            bad = mutated(data, rng) if i // 3 % 2 else data[:start] + mutated(data[start:], rng)
            begun = time.perf_counter()
            counts[reader.of(bad).credentials.state] += 1
            slowest = max(slowest, time.perf_counter() - begun)
    return {
        "n": n,
        "states": dict(counts),
        "given_up_or_crashed": counts["not_checked"],
        "slowest_s": round(slowest, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mutations", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faces = write_lfw_subset(folder / "lfw")
        probe = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
        quick = ("--set", "calibration.damage=[]")  # only the network's time matters here
        facevalue("train", str(faces), "-o", str(folder / "model"), *probe, *quick)
        figures = {
            "c2pa": c2pa.sdk_version(),
            "states": states(asked.images, folder),
            "speed": {"network": "mobilenetv2_100", **speed(folder / "model", 40, asked.rounds)},
            "mutations": mutations(asked.mutations),
        }
    keep("provenance", figures)


if __name__ == "__main__":
    main()
