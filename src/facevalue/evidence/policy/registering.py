"""Registers a policy, before a model's test figures are computed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.policy.tables import read_policy
from facevalue.evidence.registered import RegisteredPolicy, hash_of

LONGEST = 64_000
"""Characters of a policy file that a card keeps."""


def register(path: Path) -> RegisteredPolicy:
    """Read and register a policy file now.

    Raises
    ------
    UsageError
        The file cannot be read, is no policy, or is too long.
    """
    required = read_policy(path)
    text = path.read_text(encoding="utf-8")
    if len(text) > LONGEST:
        raise UsageError(f"{path} has {len(text):,} characters; a card keeps a policy of at most {LONGEST:,}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return RegisteredPolicy(sha256=hash_of(required), registered=now, text=text)
