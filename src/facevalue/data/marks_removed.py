"""Which marks of origin images lose when they are encoded again."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from facevalue.evidence.findings import Finding, finding

_WORDS = {
    "ai_label": "label of AI content",
    "camera": "camera",
    "credentials": "Content Credentials",
    "credit": "credit line",
    "prompt": "generator settings",
    "software": "program",
    "source_type": "IPTC source type",
}


def marks_removed(rows: pd.DataFrame) -> list[Finding]:
    """A finding if any of the readable images has marks, with their number by kind.

    >>> marks_removed(pd.DataFrame({"origin_marks": ["camera", "camera credentials", ""]}))[0].values["images"]
    2
    """
    kinds = Counter(kind for marks in rows["origin_marks"] for kind in marks.split())
    n = int((rows["origin_marks"] != "").sum())
    if not n:
        return []
    counted = ", ".join(f"{_WORDS[kind]} {k:,}" for kind, k in kinds.most_common())
    text = (
        f"{n:,} of {len(rows):,} images say something of their origin ({counted}); encoding removes such marks: keep "
        "the originals if you need them"
    )
    return [finding("marks-removed", text, images=n, n=len(rows), kinds=tuple(kinds))]
