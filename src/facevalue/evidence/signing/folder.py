"""Sign a folder, and verify a signature: the OpenSSF model signing format, with an elliptic-curve key.

A signature is a signed in-toto statement that lists the SHA-256 of every file. Other tools that know the format verify
it too. See https://github.com/ossf/model-signing-spec.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.signing.envelope import bundle, in_toto, read_bundle, verified
from facevalue.evidence.signing.keys import private_key, public_key
from facevalue.support import files

SIGNATURE = "model.sig"
"""Name of the signature in a model folder. It is the only file there that a signature does not cover."""

_SIGNED_FOLDER = "https://model_signing/signature/v1.0"


def sign_folder(folder: Path, key: Path, output: Path | None = None, password: str | None = None) -> Path:
    """Sign every file of a folder; returns the path of the signature.

    Parameters
    ----------
    key : PEM file with a private key on the curve P-256, P-384 or P-521.
    output : file to write; by default :data:`SIGNATURE` in the folder.
    password : of the key, if it has one.

    Raises
    ------
    UsageError
        The key cannot be read, or has another type.
    """
    output = folder / SIGNATURE if output is None else output
    private = private_key(key, password)
    resources = hashes_of(folder, output)
    predicate = {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [output.name] if _inside(folder, output) else [],
        },
        "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in resources.items()],
    }
    statement = in_toto({folder.resolve().name: _digest_of(resources)}, _SIGNED_FOLDER, predicate)
    files.write_text(output, json.dumps(bundle(statement, private)))
    return output


def problems_of(folder: Path, signature: Path, key: Path) -> list[str]:
    """What is wrong with a signed folder; nothing if the signature is valid and every file is as it was signed.

    Parameters
    ----------
    key : PEM file with the public key.

    Raises
    ------
    UsageError
        The key, or a signature outside of the folder, cannot be read.
    """
    trusted = public_key(key)
    try:
        envelope = verified(read_bundle(signature), trusted)
    except UsageError as error:
        if signature != folder / SIGNATURE:
            raise
        # Damage of the folder's own signature is what was looked for, and no wrong use.
        return [f"{SIGNATURE} was changed or damaged: {error}"]
    except FaceValueError as error:
        return [str(error)]
    if envelope.predicate_type != _SIGNED_FOLDER:
        return [f"{signature} signs something else: {envelope.predicate_type}"]
    try:
        signed = {str(item["name"]): str(item["digest"]) for item in envelope.predicate["resources"]}
        method = envelope.predicate["serialization"]["method"]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{signature} is not a signature of a folder") from error
    if method != "files":
        return [f"{signature} was made with the method {method!r}; this version verifies signatures by files"]
    found = []
    if list(envelope.subjects.values()) != [_digest_of(signed)]:
        found.append(f"{signature} contradicts itself: its list of files does not have the digest that it states")
    now = hashes_of(folder, signature)
    for name in sorted({**signed, **now}):
        if name not in now:
            found.append(f"{name} is missing")
        elif name not in signed:
            found.append(f"{name} was added after signing")
        elif now[name] != signed[name]:
            found.append(f"{name} was changed after signing")
    return found


def hashes_of(folder: Path, without: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder by its relative path, sorted.

    Raises
    ------
    UsageError
        The folder holds a symbolic link: what it points to may change without the folder.
    """
    found = {}
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        if path.is_symlink():
            raise UsageError(f"{path} is a symbolic link; a signed folder holds files only")
        if path.is_file() and path.resolve() != without.resolve():
            found[path.relative_to(folder).as_posix()] = files.sha256(path)
    return found


def _digest_of(resources: Mapping[str, str]) -> str:
    """The digest of a folder: SHA-256 over the files' digests, in the order of their names."""
    joined: list[bytes] = [bytes.fromhex(resources[name]) for name in sorted(resources)]
    return hashlib.sha256(b"".join(joined)).hexdigest()


def _inside(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
