"""``data scan``: find problems in images before training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facevalue.data.audit import Audit, audit
from facevalue.data.groups import check_groups, look_alikes, with_groups
from facevalue.data.hashes import NEAR
from facevalue.data.scan import Data, scan
from facevalue.data.splits import DEFAULT
from facevalue.errors import DataError
from facevalue.evaluation.source_audit import audit_sources
from facevalue.evidence.findings import finding


def scan_data(
    data: Data,
    *,
    groups: str | None = None,
    near: int = NEAR,
    fresh: bool = False,
    manifest: Path | str | None = None,
    page: Path | str | None = None,
    labels: bool = False,
    network: str = "mobilenetv2_100",
    weights: str = "hub",
) -> Audit:
    """Read all images and report problems: unreadable files, duplicates, contradictions, shortcuts, label errors.

    Parameters
    ----------
    data : a folder with one sub-folder per class, one with ``train/`` and held-out folders, a folder of loose images,
        a manifest file, a table with ``path`` and ``label``, or an :class:`~facevalue.ImageDataset`. One class is
        enough.
    groups : see :func:`facevalue.data.groups.with_groups`.
    near : hashes of near-duplicates differ in at most this many of 256 bits.
    fresh : read all files again instead of using the cache of an earlier scan.
    manifest : path for the table of all files, as Parquet.
    page : path for an HTML page to explore the results.
    labels : also look for label errors, with the features of ``network``; ``weights`` is a file or ``hub``.

    Raises
    ------
    UsageError
        ``data`` does not exist, or ``groups`` is invalid.
    DataError
        There is no readable image.
    """
    scanned = scan(data, fresh=fresh, loose=True, nested_groups=groups is not None)
    if manifest is not None:
        scanned.save(Path(manifest))
    alike = look_alikes(scanned, near)
    found = audit(with_groups(scanned, groups, near, alike), near, alike)
    try:
        check_groups(scanned, groups, DEFAULT)
    except DataError as error:
        found = replace(
            found, notes=(*found.notes, finding("groups-too-few", f"as it is, training needs more: {error}"))
        )
    by_source = audit_sources(found.manifest, found.manifest.readable)
    found = found.with_sources(by_source.report, by_source.findings)
    if labels:
        from facevalue.training.label_errors import suspicious_labels

        found = replace(found, suspects=suspicious_labels(found.manifest, network, weights))
    if page is not None:
        from facevalue.reports.data_page import write_data_page

        write_data_page(found, Path(page))
    return found
