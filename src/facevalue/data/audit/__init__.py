"""Checks of a folder of images, one file per check."""

from facevalue.data.audit.findings import Audit, audit

__all__ = ["Audit", "audit"]
