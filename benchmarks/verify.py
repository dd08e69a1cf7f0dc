"""Size of the proof that a model folder carries, time of ``verify``, and whether every changed byte is named.

``python -m benchmarks.verify [--images 1000] [--flips 200]``: a probe of MobileNetV2 on human or object. Times are of
whole processes, as ratios to ``predict`` on one image. Then single bytes of single files are changed at random places;
each folder must fail, and the failed check must name the file.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import data, facevalue, keep, mobilenet
from facevalue.api.sign import sign
from facevalue.api.verify import verify
from facevalue.evidence.card import CANARIES, OUTPUTS


def some_images(n: int, into: Path) -> Path:
    """At most ``n`` images of each class, in folders of people and categories as in the measuring set."""
    for label in ("human", "object"):
        root = data("human-or-object", label)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        for path in random.Random(0).sample(files, min(n, len(files))):
            target = into / label / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return into


def seconds(*arguments: str, rounds: int = 3) -> float:
    """The shortest of several runs."""
    return min(facevalue(*arguments)[1] for _ in range(rounds))


def flipped(folder: Path, n: int, scratch: Path) -> dict[str, Any]:
    """Change one bit of one file ``n`` times; how often the file is named."""
    rng, missed = random.Random(0), []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for number in range(n):
        path = files[number % len(files)]
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(folder, scratch)
        changed = bytearray(path.read_bytes())
        place = rng.randrange(len(changed))
        changed[place] ^= 1 << rng.randrange(8)
        (scratch / path.name).write_bytes(changed)
        found = verify(scratch, key=folder.parent / "public.pem")
        if found.passed or path.name not in str(found.to_dict()["failed"]):
            missed.append({"file": path.name, "place": place})
    return {"changed": n, "files": len(files), "not_named": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="of each class")
    parser.add_argument("--flips", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        images, model = some_images(options.images, root / "images"), root / "model"
        facevalue("train", str(images), "-o", str(model), "--groups", "parent", "--weights", mobilenet())
        image = str(next((images / "human").rglob("*.jpg")))
        plain = seconds("predict", str(model), image)
        alone, with_data = seconds("verify", str(model)), seconds("verify", str(model), str(images), rounds=1)
        start = time.perf_counter()
        found = verify(model)
        inside = time.perf_counter() - start
        texts = {check.name: check.text for check in found.checks}
        curve = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(root / "key.pem")]
        public = ["openssl", "ec", "-in", str(root / "key.pem"), "-pubout", "-out", str(root / "public.pem")]
        for command in (curve, public):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sign(model, root / "key.pem")
        sizes = {path.name: path.stat().st_size for path in sorted(model.iterdir()) if path.is_file()}
        figures = {
            "bytes": sizes,
            "bytes_of_proof": sizes[CANARIES] + sizes[OUTPUTS],
            "checks": texts,
            "passed": found.passed,
            "seconds": {
                "predict_one_image": plain,
                "verify": alone,
                "verify_with_images": with_data,
                "in_process": inside,
            },
            "ratio_to_predict_one_image": {"verify": alone / plain, "verify_with_images": with_data / plain},
            "flipped_bits": flipped(model, options.flips, root / "changed"),
        }
        keep("verify", figures)
        sys.exit(bool(figures["flipped_bits"]["not_named"]) or not found.passed)


if __name__ == "__main__":
    main()
