"""All checks on one folder, and what they found as one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from facevalue.data.audit.copies import Copies, find_copies
from facevalue.data.audit.labels import Suspect
from facevalue.data.audit.oddities import Oddity, find_oddities
from facevalue.data.audit.shortcuts import Shortcuts, find_shortcuts
from facevalue.data.hashes import NEAR
from facevalue.data.leaks import Leak, find_leaks, told
from facevalue.data.manifest import Manifest
from facevalue.support.html import ShownInNotebooks

UNEVEN = 3.0
"""A class with so many times the images of another is worth saying."""

STRIKING = 0.8
"""An AUC of file facts that is worth saying even where chance could give it."""


@dataclass(frozen=True)
class Audit(ShownInNotebooks):
    """What was found in a manifest with groups.

    Attributes
    ----------
    imbalance : images of the largest class over those of the smallest.
    warnings : what a reader of any figure made from these images should know.
    suspects : likely label errors; ``None`` where they were not looked for.
    notes : what is worth a look, and no reason to distrust a figure.
    """

    manifest: Manifest
    copies: Copies
    leaks: tuple[Leak, ...]
    oddities: tuple[Oddity, ...]
    shortcuts: Shortcuts
    class_counts: dict[str, int]
    imbalance: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    suspects: tuple[Suspect, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What ``data scan --json`` writes."""
        return {
            "source": self.manifest.source,
            "fingerprint": self.manifest.fingerprint(),
            "n": len(self.manifest.readable),
            "unreadable": list(self.manifest.unreadable),
            "classes": self.class_counts,
            "counts": self.manifest.counts(),
            "imbalance": self.imbalance,
            "duplicate_groups": [list(group) for group in self.copies.duplicates],
            "near_duplicate_groups": [list(group) for group in self.copies.near],
            "contradictions": [asdict(c) for c in self.copies.contradictions],
            "leaks": [leak.to_dict() for leak in self.leaks],
            "oddities": [asdict(o) for o in self.oddities],
            "shortcut_auc": self.shortcuts.auc,
            "shortcut_limit": self.shortcuts.limit,
            "shortcut_features": [asdict(f) for f in self.shortcuts.facts],
            "label_errors": None if self.suspects is None else [asdict(s) for s in self.suspects],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def audit(manifest: Manifest, near: int = NEAR) -> Audit:
    """Run every check.

    Parameters
    ----------
    manifest : scanned, with groups.
    near : bits between near-duplicates.
    """
    rows = manifest.readable
    copies, leaks = find_copies(rows, near), find_leaks(rows)
    oddities, shortcuts = find_oddities(rows), find_shortcuts(rows)
    counts = {str(label): int(n) for label, n in rows["label"].value_counts().sort_index().items()}
    imbalance = max(counts.values()) / min(counts.values())
    lost = sorted(set(manifest.table["label"]) - set(counts))
    unreadable = [f"no image of class {label!r} can be read" for label in lost]
    warnings = [*manifest.warnings, *unreadable, shortcuts.warning, *told(leaks)]
    if copies.contradictions:
        n = sum(len(c.paths) for c in copies.contradictions)
        worst = copies.contradictions[0]
        example = " and ".join(
            f"{path} ({label})" for path, label in zip(worst.paths[:2], worst.labels[:2], strict=True)
        )
        warnings.append(f"{n} images that look the same bear different labels, e.g. {example}")
    if not copies.complete:
        warnings.append("so many images look nearly alike that not all pairs were compared; some copies may be missing")
    notes = []
    if manifest.unreadable:
        notes.append(f"{len(manifest.unreadable)} of {len(manifest.table)} files cannot be read")
    if imbalance >= UNEVEN:
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        notes.append(f"uneven: {counts[most]} images of {most!r} and {counts[least]} of {least!r}")
    if shortcuts.auc is None and len(counts) > 1:
        notes.append("shortcuts were not looked for: a class has fewer than two independent groups")
    elif shortcuts.auc is not None and STRIKING < shortcuts.auc <= shortcuts.limit:
        notes.append(
            f"facts of the files tell the classes apart with AUC {shortcuts.auc:.2f}, but with so few independent"
            " groups chance can do that too"
        )
    return Audit(
        manifest=manifest,
        copies=copies,
        leaks=leaks,
        oddities=oddities,
        shortcuts=shortcuts,
        class_counts=counts,
        imbalance=imbalance,
        warnings=tuple(w for w in warnings if w),
        notes=tuple(notes),
    )
