"""A certificate authority for one test run, and server certificates for loopback."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """What a client trusts (``ca``) and what a server shows (``cert``, ``key``): PEM files."""

    ca: Path
    cert: Path
    key: Path
    chain: Path
    """Certificate and key in one file, as Ceph wants it."""


def make(folder: Path, name: str = "dray test CA") -> Authority:
    """Write a new authority and a certificate of it for localhost, 127.0.0.1 and ::1."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _issuer(issuer_key, name)
    server = _server(server_key, issuer, issuer_key)
    made = Authority(*(folder / file for file in ("ca.pem", "cert.pem", "key.pem", "chain.pem")))
    pem = serialization.Encoding.PEM
    secret = server_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.ca.write_bytes(issuer.public_bytes(pem))
    made.cert.write_bytes(server.public_bytes(pem))
    for path, data in ((made.key, secret), (made.chain, server.public_bytes(pem) + secret)):
        path.touch(mode=0o600)
        path.write_bytes(data)
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issuer(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
            "digital_signature",
        ),
        False,
    )
    return (
        _builder(_named(name), _named(name), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    hosts = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
    return (
        _builder(_named("localhost"), issuer.subject, key.public_key())
        .add_extension(hosts, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(by, hashes.SHA256())
    )
