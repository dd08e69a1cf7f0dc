"""Elliptic-curve keys in PEM files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def private_key(path: Path, password: str | None) -> ec.EllipticCurvePrivateKey:
    """Read a private key on the curve P-256, P-384 or P-521.

    Raises
    ------
    UsageError
        The file cannot be read, is another kind of key, or the password does not fit.
    """
    serialization, ec = _cryptography()
    secret = None if password is None else password.encode()
    try:
        key = serialization.load_pem_private_key(_pem(path), secret)
    except TypeError as error:  # a password is missing, or there is one too many
        raise UsageError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a private key in PEM form, or the password is wrong") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise UsageError(f"{path} is not a private key on the curve P-256, P-384 or P-521")
    return key  # type: ignore[no-any-return]


def public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Read a public key on the curve P-256, P-384 or P-521.

    Raises
    ------
    UsageError
        The file cannot be read, or is another kind of key.
    """
    serialization, ec = _cryptography()
    text = _pem(path)
    if b"PRIVATE KEY" in text:
        raise UsageError(f"{path} is a private key; verify with the public one")
    try:
        key = serialization.load_pem_public_key(text)
    except ValueError as error:
        raise UsageError(f"{path} is not a public key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise UsageError(f"{path} is not a public key on the curve P-256, P-384 or P-521")
    return key  # type: ignore[no-any-return]


def hint_of(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key's PEM form, which says which key a signature was made with."""
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def hash_for(curve: ec.EllipticCurve) -> Any:
    """The hash that ECDSA uses with a key of this curve."""
    from cryptography.hazmat.primitives import hashes

    return {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[curve.key_size]


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise MissingExtraError("cryptography", "sign") from error
    return serialization, ec
