"""The face gate: portraits that pass, images without a face that do, turned, tiny and covered faces, cost, OpenCV.

The limits in ``GateFacts`` were chosen on other images of the same sets (and none of ``unseen-faces``): of each set
only what is counted here was held out. Run from the project's root: ``python -m benchmarks.face_gate``; two minutes.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.common import data, keep
from facevalue.evaluation.metrics import wilson
from facevalue.faces.gate import FaceGate
from facevalue.faces.model_file import published_gate
from facevalue.faces.yunet import OVERLAP
from facevalue.images.resize import resize
from facevalue.images.sources import upright
from facevalue.support import machine

DETECTOR = ("face-detector", "face_detection_yunet_2026may.onnx")
HELD_OUT: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "lfw": ("human-or-object/human/*/*.jpg", 6, (2, 3, 4, 5)),
    "ffhq": ("real-or-ai-face/real/*.jpg", 6, (2, 3, 4, 5)),
    "stylegan": ("real-or-ai-face/ai/*.jpg", 6, (1, 2, 3, 4, 5)),
    "unseen utkface": ("unseen-faces/real/utkface/*", 1, (0,)),
    "unseen stylegan2-omi": ("unseen-faces/ai/stylegan2-omi/*", 1, (0,)),
    "unseen stable-diffusion-2.1": ("unseen-faces/ai/stable-diffusion-2.1/*", 1, (0,)),
    "celebahq, 1024 px": ("faces-more-sources/real/celebahq/*", 2, (1,)),
    "mebeauty, 400 to 600 px": ("faces-more-sources/real/mebeauty/*", 2, (1,)),
    "progan, 1024 px": ("faces-more-sources/ai/pggan-celebahq/*", 2, (1,)),
    "flux, 768 px": ("faces-more-sources/ai/flux-pollinations/*", 2, (1,)),
}
"""Pattern, and which images of every so many were not looked at when the limits were chosen."""
OBJECTS = ("human-or-object/object/*/*.jpg", 4, (1, 2))
WITH_PEOPLE = ("accordion", "wheelchair", "euphonium", "saxophone", "umbrella", "buddha", "dollar_bill")
"""Categories in which some photographs show people, statues or portraits."""


def paths(pattern: str, every: int, chosen: Sequence[int]) -> list[Path]:
    return [path for i, path in enumerate(sorted(data().glob(pattern))) if i % every in chosen]


def counted(gate: FaceGate, images: Iterable[Image.Image | Path]) -> dict[str, Any]:
    """How many pass, with a 95 % interval, and why the others do not."""

    def look(image: Image.Image | Path) -> str:
        seen = gate.look(upright(image) if isinstance(image, Path) else image)[0]
        return "pass" if seen.reason is None else str(seen.detail).partition(":")[0]

    reasons = Counter(machine.in_order(look, images))
    n, passed = sum(reasons.values()), reasons["pass"]
    others = {reason: count for reason, count in reasons.most_common() if reason != "pass"}
    return {"n": n, "pass": passed, "rate": passed / n, "interval": wilson(passed, n), "not": others}


def pooled(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    n, passed = map(sum, zip(*((part["n"], part["pass"]) for part in parts), strict=True))
    return {"n": n, "pass": passed, "rate": passed / n, "interval": wilson(passed, n)}


def drawings_without_a_face() -> list[Image.Image]:
    """Flat, noise, gradients, stripes, pages of text, bar charts; 20 each."""
    rng, font = np.random.default_rng(0), ImageFont.load_default(14)
    found = []
    for i in range(20):
        side = int(rng.integers(120, 800))
        found.append(Image.new("RGB", (side, side), tuple(rng.integers(0, 256, 3).tolist())))
        found.append(Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)))
        ramp = np.linspace(0, 255, side)[None] * np.ones((side, 1))
        found.append(Image.fromarray(np.stack([ramp, ramp.T, 255 - ramp], 2).astype(np.uint8)))
        stripes = 255 * (np.arange(side)[:, None] // (3 + i) % 2) * np.ones((1, side))
        found.append(Image.fromarray(stripes.astype(np.uint8)).convert("RGB"))
        page, chart = (Image.new("RGB", (600, 800), "white") for _ in range(2))
        for line in range(40):
            letters = "".join(chr(c) for c in rng.integers(97, 123, 60))
            ImageDraw.Draw(page).text((30, 20 * line), letters, fill="black", font=font)
        for bar in range(12):
            box = (40 + 45 * bar, int(rng.integers(50, 700)), 75 + 45 * bar, 760)
            ImageDraw.Draw(chart).rectangle(box, fill=tuple(rng.integers(0, 256, 3).tolist()))
        found += [page, chart]
    return found


def drawn_faces() -> list[Image.Image]:
    """Twenty simple coloured drawings of a frontal face."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(20):
        image = Image.new("RGB", (256, 256), tuple(rng.integers(120, 256, 3).tolist()))
        draw = ImageDraw.Draw(image)
        draw.ellipse((58, 30, 198, 226), fill=(235, 195, 165), outline="black", width=2)
        draw.pieslice((52, 20, 204, 160), 180, 360, fill=tuple(rng.integers(0, 120, 3).tolist()))
        for x in (100, 156):
            draw.ellipse((x - 14, 108, x + 14, 124), fill="white", outline="black")
            draw.ellipse((x - 6, 110, x + 6, 122), fill=tuple(rng.integers(0, 100, 3).tolist()))
            draw.line((x - 16, 98, x + 16, 96), fill="black", width=4)
        draw.line((128, 118, 122, 156, 134, 158), fill=(170, 120, 100), width=3)
        draw.chord((100, 172, 156, 200), 0, 180, fill=(180, 60, 70))
        found.append(image)
    return found


def covered(image: Image.Image, gate: FaceGate, part: tuple[float, float, float, float]) -> Image.Image:
    """The image with a part of its face, in shares of the box, under flat grey."""
    seen = gate.look(image)[0]
    if seen.box is None:
        return image
    x, y, width, height = seen.box
    changed = image.copy()
    box = (x + part[0] * width, y + part[1] * height, x + part[2] * width, y + part[3] * height)
    ImageDraw.Draw(changed).rectangle(box, fill=(120, 120, 120))
    return changed


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def milliseconds(gate: FaceGate, images: Sequence[Image.Image]) -> float:
    """Median time of one look, decoding not included, on one thread."""
    times = []
    for image in images:
        start = time.perf_counter()
        gate.look(image)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def against_opencv(gate: FaceGate, files: Sequence[Path]) -> dict[str, Any]:
    """Boxes found by both, and the largest difference."""
    boxes, images, worst, worst_score = 0, 0, 0.0, 0.0
    different = 0
    for path in files:
        pixels = np.asarray(upright(path))
        size = (pixels.shape[1], pixels.shape[0])
        peer = cv2.FaceDetectorYN.create(str(data(*DETECTOR)), "", size, 0.5, OVERLAP, 5000)
        rows = peer.detect(np.ascontiguousarray(pixels[..., ::-1]))[1]
        theirs = np.zeros((0, 15)) if rows is None else rows
        ours = gate.detector.detect(pixels, 0.5)
        images += 1
        if len(ours) != len(theirs):
            different += 1
            continue
        boxes += len(ours)
        if len(ours):
            worst = max(worst, float(np.abs(ours.boxes - theirs[:, :4]).max()))
            worst = max(worst, float(np.abs(ours.landmarks.reshape(-1, 10) - theirs[:, 4:14]).max()))
            worst_score = max(worst_score, float(np.abs(ours.scores - theirs[:, 14]).max()))
    return {
        "images": images,
        "images_with_another_number_of_faces": different,
        "boxes": boxes,
        "largest_difference_pixels": worst,
        "largest_difference_score": worst_score,
    }


def main() -> None:
    gate = published_gate(data(*DETECTOR))
    portraits = {name: counted(gate, paths(*where)) for name, where in HELD_OUT.items()}
    for name, row in portraits.items():
        print(name, row)
    objects = paths(*OBJECTS)
    passed = [path for path in objects if gate.look(upright(path))[0].reason is None]
    without = {
        "objects": counted(gate, objects),
        "objects without categories that show people": counted(
            gate, [path for path in objects if path.parent.name not in WITH_PEOPLE]
        ),
        "drawings": counted(gate, drawings_without_a_face()),
    }
    print(without, [f"{path.parent.name}/{path.name}" for path in passed])
    lfw = [upright(path) for path in paths(*HELD_OUT["lfw"])[::10]]
    turned = {
        f"{degrees} degrees": counted(gate, [image.rotate(degrees, Image.Resampling.BICUBIC) for image in lfw])
        for degrees in (0, 10, 20, 30, 40, 50, 60, 90, 120, 150, 180)
    }

    def scaled(side: int) -> Callable[[Image.Image], Image.Image]:
        return lambda image: resize(image, (side, side), Image.Resampling.BICUBIC)

    tiny = {
        f"image of {side} px, face about {round(0.38 * side)} px wide": counted(gate, map(scaled(side), lfw))
        for side in (160, 128, 96, 80, 64, 48, 32, 16)
    }
    parts = {
        "nothing": (0.0, 0.0, 0.0, 0.0),
        "mouth and nose (a mask)": (0.0, 0.55, 1.0, 1.0),
        "eyes (a bar)": (0.0, 0.25, 1.0, 0.5),
        "left half": (0.0, 0.0, 0.5, 1.0),
        "all but the forehead": (0.0, 0.2, 1.0, 1.0),
    }
    hidden = {name: counted(gate, [covered(image, gate, part) for image in lfw]) for name, part in parts.items()}
    pairs = [side_by_side(one, other) for one, other in zip(lfw[::2], lfw[1::2], strict=False)]
    large = [resize(image, (3000, 4000), Image.Resampling.BICUBIC) for image in map(upright, objects[::300])]
    photos = [upright(path) for path in paths(*HELD_OUT["celebahq, 1024 px"])[:20]]
    from skimage import data as samples

    keep(
        "face_gate",
        {
            "limits": gate.facts.to_dict(),
            "portraits": portraits,
            "portraits together": pooled(portraits.values()),
            "without a face": without,
            "objects that pass": [f"{path.parent.name}/{path.name}" for path in passed],
            "turned": turned,
            "tiny": tiny,
            "covered": hidden,
            "two portraits side by side": counted(gate, pairs),
            "drawn faces": counted(gate, drawn_faces()),
            "rendered people": counted(gate, paths("horse-or-human-rgb300/humans/*", 5, (0,))),
            "the astronaut of skimage": counted(gate, [upright(samples.astronaut())]),
            "against OpenCV": against_opencv(gate, [*paths(*HELD_OUT["lfw"])[::40], *objects[::60]]),
            "milliseconds an image, one thread, without decoding": {
                "portrait, 250 px": milliseconds(gate, lfw),
                "portrait, 1024 px": milliseconds(gate, photos),
                "no face, 300 px": milliseconds(gate, [upright(path) for path in objects[::20]]),
                "no face, 12 million pixels": milliseconds(gate, large),
            },
        },
    )


if __name__ == "__main__":
    main()
