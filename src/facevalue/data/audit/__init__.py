"""What is wrong with a folder of images: one small file a check."""

from facevalue.data.audit.findings import Audit, audit

__all__ = ["Audit", "audit"]
