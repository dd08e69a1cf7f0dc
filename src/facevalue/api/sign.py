"""``sign``: sign a model folder, and every evaluation on its card."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.model_folder import updating
from facevalue.evidence.card import ModelCard
from facevalue.evidence.signing import sign_folder, write_statements


def sign(model: Path | str, key: Path | str, *, output: Path | str | None = None, password: str | None = None) -> Path:
    """Sign a model folder in the OpenSSF model signing format; returns the path of the signature.

    Each piece of evidence on the card is also written as a signed in-toto statement, to ``statements.jsonl`` in the
    folder. Evidence that is added later is not signed: sign again.

    Parameters
    ----------
    key : PEM file with a private key on the curve P-256, P-384 or P-521, as
        ``openssl ecparam -name prime256v1 -genkey -noout -out key.pem`` makes one.
    output : the signature; by default ``model.sig`` in the folder.
    password : of the key, if it has one.

    Raises
    ------
    UsageError
        The key cannot be used, or the folder is not a model folder.
    """
    folder, private = Path(model), Path(key)
    with updating(folder):
        write_statements(folder, ModelCard.load(folder), private, password)
        return sign_folder(folder, private, None if output is None else Path(output), password)
