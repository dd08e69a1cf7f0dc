"""A test authority that signs images as C2PA asks: certificates for e-mail protection, made on the spot."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MIMES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Authority:
    """An authority's certificate, the chain of one signer, and that signer's key, all PEM."""

    root: bytes
    chain: bytes
    key: bytes

    def sign(self, image: bytes, mime: str, manifest: dict[str, Any], remote: str | None = None) -> bytes:
        """The image with a signed manifest; with ``remote`` only the manifest's address is in it."""
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=self.chain, private_key=self.key, ta_url=None)
        signed = io.BytesIO()
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
            if remote is not None:
                builder.set_remote_url(remote)
                builder.set_no_embed()
            builder.sign(signer, mime, io.BytesIO(image), signed)
        return signed.getvalue()


def manifest(source_type: str = AI, tool: str = "Drawer 3") -> dict[str, Any]:
    """A manifest that says how an image was made."""
    action = {"action": "c2pa.created", "digitalSourceType": source_type, "softwareAgent": tool}
    return {
        "claim_generator_info": [{"name": "Test program", "version": "1.0"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }


def authority(name: str) -> Authority:
    """An authority of this name, with one signer."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def begun(subject: str, public: ec.EllipticCurvePublicKey, ca: bool) -> x509.CertificateBuilder:
        uses = {"key_cert_sign": ca, "crl_sign": ca, "digital_signature": not ca}
        others = "content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only"
        return (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(f"{name} root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=1 if ca else None), True)
            .add_extension(x509.KeyUsage(**uses, **dict.fromkeys(others.split(), False)), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )

    root = begun(f"{name} root", root_key.public_key(), True).sign(root_key, hashes.SHA256())
    leaf = (
        begun(f"{name} signer", key.public_key(), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        .sign(root_key, hashes.SHA256())
    )
    plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Authority(root.public_bytes(_PEM), leaf.public_bytes(_PEM) + root.public_bytes(_PEM), plain)


def _named(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test organisation"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
