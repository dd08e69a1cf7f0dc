"""An audit as one self-contained HTML page: classes, image sizes, and the worst findings with images."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from facevalue.data.audit import Audit
from facevalue.errors import ImageError
from facevalue.images import decoding
from facevalue.reports.page_templates import page_template, source_tables
from facevalue.support import files

_SIDE = 112  # pixels of a thumbnail
_SAMPLES = 10  # of each class
_CLASSES = 24  # classes shown with samples
_WORST = 12  # findings of one kind with images
_SUSPECTS = 40  # likely label errors with images
_ACROSS = 6  # most images shown of one group
_LISTED = 100  # most unreadable files listed
_BINS = 24


@dataclass(frozen=True)
class Thumbnail:
    """An image on the page as a data URI; "" if it can no longer be read."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Histogram:
    """Heights of the bars of each class, relative to its highest bar, in [0, 1]; all classes have the same bins."""

    name: str
    low: str
    high: str
    bars: Mapping[str, Sequence[float]]


def write_data_page(audit: Audit, output: Path) -> Path:
    """Write an audit as an HTML page without scripts, requests or other files.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    page = page_template("data.html.j2").render(_template_values(audit), source_tables=source_tables())
    files.write_text(output, page)
    return output


def _template_values(audit: Audit) -> dict[str, Any]:
    rows = audit.manifest.readable
    label_of = dict(zip(rows["path"], rows["label"], strict=True))
    root = audit.manifest.source

    def group(paths: Sequence[str]) -> list[Thumbnail]:
        return [_thumbnail(path, f"{_short(path, root)} · {label_of.get(path, '')}") for path in paths[:_ACROSS]]

    kinds: dict[str, list[Thumbnail]] = {}
    for oddity in audit.oddities:
        of_kind = kinds.setdefault(oddity.kind, [])
        if len(of_kind) < _WORST:
            of_kind.append(_thumbnail(oddity.path, f"{_short(oddity.path, root)}: {oddity.detail}"))
    return {
        "audit": audit,
        "total": sum(audit.class_counts.values()),
        "most": max(audit.class_counts.values()),
        "samples": {label: _samples(rows, label, root) for label in list(audit.class_counts)[:_CLASSES]},
        "histograms": _histograms(rows, list(audit.class_counts)[:6]),
        "contradictions": [group(c.paths) for c in audit.copies.contradictions[:_WORST]],
        "leaks": [
            [
                _thumbnail(_path_of(rows, key), f"{key} · {split}")
                for key, split in zip(k.examples, k.splits, strict=True)
            ]
            for k in audit.leaks[:_WORST]
        ],
        "near": [(len(paths), group(paths)) for paths in audit.copies.near[:_WORST]],
        "duplicates": [(len(paths), group(paths)) for paths in audit.copies.duplicates[:_WORST]],
        "oddities": [(kind, sum(o.kind == kind for o in audit.oddities), images) for kind, images in kinds.items()],
        "suspects": [
            _thumbnail(s.path, f"{s.label}, looks like {s.suggested} · {_short(s.path, root)}")
            for s in (audit.suspects or ())[:_SUSPECTS]
        ],
        "unreadable": audit.manifest.unreadable[:_LISTED],
    }


def _samples(rows: pd.DataFrame, label: str, root: str) -> list[Thumbnail]:
    """Random images of a class; the draw is always the same."""
    paths = rows["path"][rows["label"] == label].to_numpy(object)
    drawn = np.sort(np.random.default_rng(0).permutation(len(paths))[:_SAMPLES])
    return [_thumbnail(path, _short(path, root)) for path in paths[drawn]]


def _histograms(rows: pd.DataFrame, labels: Sequence[str]) -> list[Histogram]:
    facts = {
        "width (pixels)": rows["width"],
        "height (pixels)": rows["height"],
        "bytes": rows["bytes"],
        "bytes per pixel": rows["bytes"] / (rows["width"] * rows["height"]),
    }
    found = []
    for name, values in facts.items():
        low, high = float(values.min()), float(values.max())
        edges = np.linspace(low, high, _BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
        counts = {label: np.histogram(values[rows["label"] == label], edges)[0] for label in labels}
        found.append(
            Histogram(
                name=name,
                low=_plain(low),
                high=_plain(high),
                # Relative to the class's own highest bar, so that a small class is visible next to a large one.
                bars={label: [float(n) for n in of / max(1, of.max())] for label, of in counts.items()},
            )
        )
    return found


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _path_of(rows: pd.DataFrame, key: str) -> str:
    return str(rows["path"][rows["key"] == key].iloc[0])


def _short(path: str, root: str) -> str:
    return path.removeprefix(root).lstrip("/")


def _thumbnail(path: str, caption: str) -> Thumbnail:
    try:
        image, _ = decoding.decode_reduced(decoding.read_bytes(Path(path)), _reduction)
    except ImageError:  # it could be read a moment ago
        return Thumbnail("", caption)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    if max(image.size) < _SIDE // 2:
        factor = _SIDE // max(image.size)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return Thumbnail("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), caption)


def _reduction(width: int, height: int) -> int:
    return next((r for r in (8, 4, 2) if max(width, height) >= 2 * r * _SIDE), 1)
