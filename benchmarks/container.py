"""The container's image: its size over its base, what is in it, and how soon it answers.

Run from the project's root, as root, where buildah is installed: ``python -m benchmarks.container [MODEL]``. Where the
base image is not there, debootstrap makes one. MODEL is a probe on MobileNetV2 by default, which is trained first.

The cold start is measured in the container, from the start of ``facevalue serve`` to its first prediction, as the
image's own user. What the container's engine takes to start a container is not in it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import ROOT, data, facevalue, keep, mobilenet

IMAGE = "localhost/facevalue-measured"
STARTS = 7

INSIDE = """
import collections, json, os, pathlib
root = pathlib.Path("/opt/facevalue")
sizes = collections.Counter()
for file in root.rglob("*"):
    if not file.is_dir() or file.is_symlink():
        parts = file.relative_to(root).parts
        inside = parts[3:4] if parts[:1] == ("lib",) and len(parts) > 4 else ("other",)
        sizes[inside[0]] += file.lstat().st_size
packages = json.loads((root / "sbom.cdx.json").read_text())["components"]
print(json.dumps({"user": os.getuid(), "sizes": sizes, "packages": sorted(p["name"] for p in packages)}))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


@contextmanager
def container(image: str = IMAGE) -> Iterator[str]:
    """A container of the image, which is built from this tree."""
    subprocess.run([ROOT / "deploy" / "buildah.sh", image], env=environment(), check=True, stdout=subprocess.DEVNULL)
    name = buildah("from", image).strip()
    try:
        yield name
    finally:
        buildah("rm", name)
        buildah("rmi", image)


def inside(name: str, *command: str, mounts: tuple[str, ...] = ()) -> str:
    """What a command in the container prints, as the image's user."""
    mounted = [part for mount in mounts for part in ("-v", mount)]
    return buildah("run", "--user", "10001:10001", *mounted, name, "--", *command)


def first_answer(name: str, model: Path, image: Path) -> dict[str, float]:
    """Seconds to the first answer, and MB then. The folders must be readable for all."""
    mounts = (f"{model}:/m:ro", f"{image.parent}:/i:ro", f"{ROOT / 'deploy'}:/d:ro")
    lines = inside(name, "python", "/d/first_answer.py", "/m", f"/i/{image.name}", mounts=mounts).splitlines()
    return dict(json.loads(lines[-1]))


def main(model: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        served, images = Path(folder) / "model", Path(folder) / "images"
        if model is None:
            probe = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
            facevalue("train", str(data("human-or-object")), "-o", str(served), *probe)
        else:
            shutil.copytree(model, served)
        images.mkdir()
        shutil.copy(next(iter(sorted(data("human-or-object").rglob("*.jpg")))), images / "a.jpg")
        for path in (Path(folder), images, served, *images.iterdir(), *served.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        with container() as name:
            found = json.loads(inside(name, "python", "-c", INSIDE))
            starts = [first_answer(name, served, images / "a.jpg") for _ in range(STARTS)]
    sizes = sorted(found["sizes"].items(), key=lambda pair: -pair[1])
    seconds = [one["seconds"] for one in starts]
    keep(
        "container",
        {
            "megabytes_over_base": sum(size for _, size in sizes) / 1e6,
            "largest_parts_megabytes": {part: round(size / 1e6, 1) for part, size in sizes[:10]},
            "user": found["user"],
            "packages_in_sbom": len(found["packages"]),
            "starts": STARTS,
            "seconds_to_first_answer": {"first": seconds[0], "median": statistics.median(seconds), "all": seconds},
            "cpu_seconds_to_first_answer": statistics.median(one["cpu_seconds"] for one in starts),
            "megabytes_after_first_answer": statistics.median(one["megabytes"] for one in starts),
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:2])
