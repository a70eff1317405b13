"""The certificates of a test cluster: an authority, and what it signs.

They are made anew for every cluster and live as long as its folder. Nothing here may be used elsewhere.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=365)


class Authority:
    """An authority that signs certificates; everything is written into one folder as `<name>.crt` and `.key`.

    Args:
        folder: where the files are.
        name: of the authority and its files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = write(folder, name, self._key, certificate)

    def issue(self, file: str, name: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> Path:
        """Sign a certificate for a user or, with `hosts`, for a server.

        Args:
            file: the name of its files.
            name: the user's name.
            groups: the user's groups.
            hosts: the names and addresses of the server.

        Returns:
            The certificate's file; the key is beside it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = _builder(subject, self._name, key).add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(purposes, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return write(self._folder, file, key, builder.sign(self._key, hashes.SHA256()))


def write(
    folder: Path, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate | None = None
) -> Path:
    """Write a key and its certificate, or without one its public key; the path of the latter."""
    private = folder / f"{file}.key"
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public = folder / f"{file}.{'crt' if certificate else 'pub'}"
    pem = serialization.Encoding.PEM
    if certificate:
        public.write_bytes(certificate.public_bytes(pem))
    else:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(pem, form))
    return public


def key_pair(folder: Path, file: str) -> Path:
    """Write a key pair without a certificate, as tokens are signed with; the public key's file."""
    return write(folder, file, ec.generate_private_key(ec.SECP256R1()))


def kubeconfig(path: Path, cluster: dict[str, str], user: dict[str, str]) -> Path:
    """Write a kubeconfig that holds everything itself.

    Args:
        path: the file.
        cluster: as in a kubeconfig; `at` makes it.
        user: as in a kubeconfig: a `token`, or what `by_certificate` gives.
    """
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "podium", "cluster": cluster}],
                "users": [{"name": "podium", "user": user}],
                "contexts": [{"name": "podium", "context": {"cluster": "podium", "user": "podium"}}],
                "current-context": "podium",
            },
            indent=2,
        )
    )
    return path


def at(server: str, authority: Path) -> dict[str, str]:
    """The cluster of a kubeconfig: its API server's address, and the authority that vouches for that."""
    return {"server": server, "certificate-authority-data": _base64(authority)}


def by_certificate(certificate: Path) -> dict[str, str]:
    """The user of a kubeconfig who shows this certificate."""
    return {
        "client-certificate-data": _base64(certificate),
        "client-key-data": _base64(certificate.with_suffix(".key")),
    }


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
