"""Run all checks on one folder and collect their results in one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from facevalue.data.audit.copies import Copies, find_copies
from facevalue.data.audit.labels import Suspect
from facevalue.data.audit.oddities import LOOKS, Oddity, find_oddities
from facevalue.data.audit.processing import Processing, find_processing
from facevalue.data.audit.shortcuts import FACTS, Shortcuts, find_shortcuts
from facevalue.data.hashes import NEAR
from facevalue.data.leaks import Leak, find_leaks, leak_findings
from facevalue.data.manifest import Manifest
from facevalue.data.near_duplicates import Clusters
from facevalue.evidence.findings import NAMED, Finding, finding, named
from facevalue.evidence.records import SourceReport
from facevalue.support.html import ShownInNotebooks

UNEVEN = 3.0
"""Report uneven classes if one class has at least this many times the images of another."""

STRIKING = 0.8
"""Report an AUC of file facts above this value even if it may be chance."""


@dataclass(frozen=True)
class Audit(ShownInNotebooks):
    """Result of all checks on a manifest with groups.

    Attributes
    ----------
    imbalance : images in the largest class divided by images in the smallest.
    warnings : reasons to doubt figures that are made from these images.
    suspects : likely label errors; ``None`` if they were not searched for.
    notes : worth a look, but no reason to doubt figures.
    sources : controls of sources on simple measures; ``None`` if the images have no sources.
    """

    manifest: Manifest
    copies: Copies
    leaks: tuple[Leak, ...]
    oddities: tuple[Oddity, ...]
    shortcuts: Shortcuts
    processing: Processing
    class_counts: dict[str, int]
    imbalance: float
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    suspects: tuple[Suspect, ...] | None = None
    sources: SourceReport | None = None

    def with_sources(self, report: SourceReport | None, found: Sequence[Finding]) -> Audit:
        """The audit with the controls of sources and their findings."""
        severe = [one for one in found if one.severity != "info"]
        mild = [one for one in found if one.severity == "info"]
        return replace(self, sources=report, warnings=(*self.warnings, *severe), notes=(*self.notes, *mild))

    def to_dict(self) -> dict[str, Any]:
        """What ``data scan --json`` writes."""
        return {
            "source": self.manifest.source,
            "fingerprint": self.manifest.fingerprint(),
            "n": len(self.manifest.readable_of("label")),
            "unreadable": list(self.manifest.unreadable),
            "ignored": list(self.manifest.ignored),
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
            "processing": self.processing.to_dict(),
            "sources": None if self.sources is None else self.sources.to_dict(),
            "label_errors": None if self.suspects is None else [asdict(s) for s in self.suspects],
            "warnings": [w.to_dict() for w in self.warnings],
            "notes": [note.to_dict() for note in (*self.manifest.notes, *self.notes)],
        }


def audit(manifest: Manifest, near: int = NEAR, found: Clusters | None = None) -> Audit:
    """Run every check.

    Parameters
    ----------
    manifest : scanned, with groups.
    near : images whose hashes differ in at most this many bits are near-duplicates.
    found : the :func:`~facevalue.data.groups.look_alikes` of the manifest for this ``near``, if they are known already.
    """
    # A few columns at a time: of a million images all take half a gigabyte.
    copies = find_copies(manifest.readable_of("path", "label", "sha256", "phash"), near, found)
    leaks = find_leaks(manifest.readable_of("key", "group", "split", "sha256"))
    oddities = find_oddities(manifest.readable_of("path", "label", *LOOKS))
    shortcuts, processing = find_shortcuts(manifest.readable_of(*FACTS)), find_processing(manifest)
    labels = manifest.readable_of("label")["label"]
    counts = {str(label): int(n) for label, n in labels.value_counts().sort_index().items()}
    imbalance = max(counts.values()) / min(counts.values())
    unreadable_classes = sorted(set(manifest.table["label"]) - set(counts))
    unreadable = [
        finding("class-unreadable", f"no image of class {label!r} can be read", label=str(label))
        for label in unreadable_classes
    ]
    if len(unreadable) > NAMED:
        text = f"no image of {len(unreadable)} classes can be read: {named(unreadable_classes)}"
        unreadable = [finding("class-unreadable", text, labels=tuple(map(str, unreadable_classes)))]
    warnings = [*manifest.warnings, *unreadable, shortcuts.warning, *processing.warnings, *leak_findings(leaks)]
    if copies.contradictions:
        n = sum(len(c.paths) for c in copies.contradictions)
        worst = copies.contradictions[0]
        example = " and ".join(
            f"{path} ({label})" for path, label in zip(worst.paths[:2], worst.labels[:2], strict=True)
        )
        warnings.append(
            finding("contradictory-labels", f"{n} images that look the same have different labels, e.g. {example}", n=n)
        )
    if not copies.complete:
        text = "too many images look alike to compare every pair; some near-duplicates may not be listed"
        warnings.append(finding("copies-not-all-compared", text))
    notes = []
    if manifest.unreadable:
        bad, files = len(manifest.unreadable), len(manifest.table)
        notes.append(finding("unreadable-files", f"{bad} of {files} files cannot be read", n=bad, files=files))
    if imbalance >= UNEVEN:
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        text = f"the classes are uneven: {counts[most]} images of {most!r} and {counts[least]} of {least!r}"
        notes.append(
            finding("uneven-classes", text, most=most, n_most=counts[most], least=least, n_least=counts[least])
        )
    if shortcuts.auc is None and len(counts) > 1:
        text = "file facts were not checked: a class has fewer than two independent groups"
        notes.append(finding("file-facts-not-checked", text))
    elif shortcuts.auc is not None and STRIKING < shortcuts.auc <= shortcuts.limit:
        text = (
            f"file facts alone predict the class with AUC {shortcuts.auc:.2f}, but this can be chance because"
            " there are few independent groups"
        )
        notes.append(finding("file-facts-may-tell-classes", text, auc=shortcuts.auc, limit=shortcuts.limit))
    if len(counts) > 1:
        notes.extend(processing.notes)
    return Audit(
        manifest=manifest,
        copies=copies,
        leaks=leaks,
        oddities=oddities,
        shortcuts=shortcuts,
        processing=processing,
        class_counts=counts,
        imbalance=imbalance,
        warnings=tuple(w for w in warnings if w),
        notes=tuple(notes),
    )
