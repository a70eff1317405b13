"""Secrets of a workspace, all derived from the hub's key, so that nothing has to be stored.

The same hub key, workspace and purpose always give the same secret; knowing one tells nothing about
another (HMAC-SHA256, RFC 2104). Nothing here may do I/O; the hub's key comes from the caller.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


@dataclass(frozen=True)
class TLS:
    """A certificate authority's certificate, and a certificate with its key that it signed; all PEM."""

    authority: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Curve:
    """A CURVE key pair as ZeroMQ writes it: 40 characters of Z85 each."""

    public: str
    secret: str


@dataclass(frozen=True, repr=False)
class Keys:
    """The secrets of one workspace.

    Args:
        hub_key: at least 32 random bytes that only the hub knows.
        workspace: the workspace's name; its uid after it makes a name's second life another workspace.
    """

    hub_key: bytes
    workspace: str

    def raw(self, purpose: str) -> bytes:
        """32 bytes for one purpose."""
        return hmac.new(self.hub_key, f"{self.workspace}/{purpose}".encode(), hashlib.sha256).digest()

    def token(self, purpose: str) -> str:
        """43 characters that are safe in headers, cookies and environment variables."""
        return base64.urlsafe_b64encode(self.raw(purpose)).decode().rstrip("=")

    def curve(self, purpose: str) -> Curve:
        """A CURVE25519 key pair, encoded in Z85. Source: ZeroMQ RFC 26 (CurveZMQ) and RFC 32 (Z85)."""
        return _curve(self.raw(purpose))

    def tls(self, purpose: str, since: datetime) -> TLS:
        """A certificate authority and one certificate for both ends of every connection.

        Args:
            purpose: what the certificate is for.
            since: when the workspace was made, with a time zone; the certificates hold for ten years from the
                day before.
        """
        return _tls(self.raw(f"{purpose}/authority"), self.raw(purpose), since)


@lru_cache(maxsize=1024)
def _curve(secret: bytes) -> Curve:
    private = X25519PrivateKey.from_private_bytes(secret)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Curve(public=z85(public), secret=z85(secret))


@lru_cache(maxsize=1024)
def _tls(authority_seed: bytes, seed: bytes, since: datetime) -> TLS:
    authority_key = Ed25519PrivateKey.from_private_bytes(authority_seed)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "podium workspace authority")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "podium workspace")])

    def certificate(of: x509.Name, public: Ed25519PrivateKey, is_authority: bool) -> str:
        serial = int.from_bytes(hashlib.sha256(seed + bytes([is_authority])).digest()[:19], "big")
        # The names below are what Dask, which does not check host names, leaves to be said.
        builder = (
            x509.CertificateBuilder()
            .subject_name(of)
            .issuer_name(authority)
            .public_key(public.public_key())
            .serial_number(serial)
            .not_valid_before(since - timedelta(days=1))
            .not_valid_after(since + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        return builder.sign(authority_key, None).public_bytes(Encoding.PEM).decode()

    return TLS(
        authority=certificate(authority, authority_key, True),
        certificate=certificate(subject, key, False),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def z85(data: bytes) -> str:
    """Encode bytes, a multiple of four long, as Z85. Source: ZeroMQ RFC 32."""
    text = []
    for start in range(0, len(data), 4):
        number = int.from_bytes(data[start : start + 4], "big")
        text.append("".join(Z85[number // 85**power % 85] for power in (4, 3, 2, 1, 0)))
    return "".join(text)
