"""Certificate authorities and server certificates of the cloud's hosts, made with `cryptography`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local_cloud import paths

#: DigitalOcean's database CAs hold ten years; nothing here lives longer.
LIFETIME = timedelta(days=3650)
#: Where the CA is kept that droplets trust.
AUTHORITY = paths.CLOUD / "authority"


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


def new_authority(common_name: str) -> KeyPair:
    """A self-signed CA that may sign servers and nothing below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pem(builder.sign(key, hashes.SHA256()), key)


def new_server(authority: KeyPair, names: Iterable[str | IPv4Address]) -> KeyPair:
    """A server certificate for `names` (host names and addresses), signed by `authority`."""
    subjects = list(names)
    ca = x509.load_pem_x509_certificate(authority.certificate.encode())
    ca_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    # X.520 gives a common name 64 characters; who checks names reads the alternative names (RFC 6125).
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(subjects[0])[:64])])
    alternatives = [x509.IPAddress(name) if isinstance(name, IPv4Address) else x509.DNSName(name) for name in subjects]
    builder = (
        _builder(subject, ca.subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return _pem(builder.sign(ca_key, hashes.SHA256()), key)


def authority_of_cloud() -> KeyPair:
    """The CA that droplets trust; made first when there is none."""
    return kept_authority(AUTHORITY, "Local cloud's certificate authority")


def kept_authority(folder: Path, common_name: str) -> KeyPair:
    """The CA in `folder` (ca.pem, ca.key); made there first when there is none."""
    return _kept(folder, "ca", lambda: new_authority(common_name))


def kept_server(folder: Path, authority: KeyPair, names: Iterable[str | IPv4Address]) -> KeyPair:
    """The server certificate in `folder` (server.pem, server.key); made there first when there is none."""
    return _kept(folder, "server", lambda: new_server(authority, names))


def _kept(folder: Path, stem: str, make: Callable[[], KeyPair]) -> KeyPair:
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pair = make()
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(pair.key)
        unfinished = certificate.with_suffix(".new")
        unfinished.write_text(pair.certificate)
        os.replace(unfinished, certificate)
    return KeyPair(certificate.read_text(), key.read_text())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
