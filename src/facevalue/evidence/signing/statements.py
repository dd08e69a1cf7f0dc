"""Each evaluation as a signed in-toto statement, so that a figure can travel without its folder.

``statements.jsonl`` in a model folder holds one Sigstore bundle per line. The subjects are the model's files; the
predicate is the evidence as on the card.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.card import ONNX, WEIGHTS, ModelCard
from facevalue.evidence.records import Evidence
from facevalue.evidence.signing.envelope import bundle, in_toto, verified
from facevalue.evidence.signing.keys import private_key, public_key
from facevalue.support import files

STATEMENTS = "statements.jsonl"

PREDICATE = "https://github.com/facevalue/facevalue/blob/main/docs/reference/card.md#evidence"
"""Type of the predicate: the evidence as the card holds it."""


def statement_of(card: ModelCard, evidence: Evidence) -> dict[str, Any]:
    """One piece of evidence as an in-toto statement about the model's weights and graph."""
    subjects = {name: card.files[name] for name in (WEIGHTS, ONNX) if name in card.files}
    return in_toto(subjects, PREDICATE, msgspec.to_builtins(evidence))


def write_statements(folder: Path, card: ModelCard, key: Path, password: str | None = None) -> int:
    """Write all evidence of a card as signed statements; returns their number."""
    private = private_key(key, password)
    lines = [json.dumps(bundle(statement_of(card, one), private)) for one in card.evidence]
    files.write_text(folder / STATEMENTS, "".join(f"{line}\n" for line in lines))
    return len(lines)


def statement_problems(folder: Path, card: ModelCard, key: Path) -> list[str]:
    """What differs between the signed statements and the card; nothing if both say the same.

    Evidence that was added to the card after signing is named too: nobody has signed it.
    """
    public = public_key(key)
    found, signed = [], []
    for number, line in enumerate((folder / STATEMENTS).read_bytes().splitlines(), 1):
        try:
            envelope = verified(json.loads(line), public)
        except (ValueError, UsageError):
            found.append(f"{STATEMENTS}, line {number}, is not a signed statement")
        except FaceValueError as error:
            found.append(f"{STATEMENTS}, line {number}: {error}")
        else:
            subjects = {name: card.files.get(name) for name in envelope.subjects}
            if subjects != dict(envelope.subjects):
                found.append(f"{STATEMENTS}, line {number}, is about other files than this model's")
            signed.append(_plain(envelope.predicate))
    own = {_plain(msgspec.to_builtins(one)): one for one in card.evidence}
    strange = [json.loads(text).get("kind") for text in signed if text not in own]
    found += [f"a signed statement ({kind}) is not on the card" for kind in strange]
    found += [f"{one.title()} is on the card but nobody signed it" for text, one in own.items() if text not in signed]
    return found


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
