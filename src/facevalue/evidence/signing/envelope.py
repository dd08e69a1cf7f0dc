"""Signed in-toto statements: a Sigstore bundle with a DSSE envelope."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.signing.keys import hash_for, hint_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True)
class Envelope:
    """A verified in-toto statement.

    Attributes
    ----------
    subjects : SHA-256 by name.
    predicate_type : what the statement says, as a URI.
    """

    subjects: Mapping[str, str]
    predicate_type: str
    predicate: Mapping[str, Any]


def in_toto(subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """An in-toto statement of version 1; ``subjects`` are SHA-256 by name."""
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def bundle(statement: Mapping[str, Any], key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """A statement, signed, as a Sigstore bundle."""
    from cryptography.hazmat.primitives.asymmetric import ec

    payload = json.dumps(statement, indent=2, ensure_ascii=False).encode()
    signed = key.sign(_encoded(payload), ec.ECDSA(hash_for(key.curve)))
    return {
        "mediaType": _BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint_of(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signed).decode(), "keyid": ""}],
        },
    }


def verified(signed: Mapping[str, Any], key: ec.EllipticCurvePublicKey) -> Envelope:
    """The statement of a bundle, after its signature was verified.

    Raises
    ------
    FaceValueError
        The signature is not valid for this key.
    UsageError
        It is not a bundle with an in-toto statement.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        envelope = signed["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        kind = envelope["payloadType"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UsageError("expected a signature in the OpenSSF model signing format, but got something else") from error
    try:
        key.verify(signature, _encoded(payload, str(kind)), ec.ECDSA(hash_for(key.curve)))
    except InvalidSignature as error:
        hint = signed.get("verificationMaterial", {}).get("publicKey", {}).get("hint", "")
        other = ": it was made with another key" if hint and hint != hint_of(key) else ""
        raise FaceValueError(f"the signature is not valid for this key{other}") from error
    try:
        statement = json.loads(payload)
        subjects = {str(item["name"]): str(item["digest"]["sha256"]) for item in statement["subject"]}
        return Envelope(subjects, str(statement["predicateType"]), dict(statement["predicate"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError("the signed statement is not an in-toto statement") from error


def read_bundle(path: Path) -> dict[str, Any]:
    """Read a signature file.

    Raises
    ------
    UsageError
        It cannot be read, or is not JSON.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a signature: it is not JSON") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is not a signature: it is not a JSON object")
    return found


def _encoded(payload: bytes, kind: str = _PAYLOAD) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind.encode(), b"%d" % len(payload), payload])
