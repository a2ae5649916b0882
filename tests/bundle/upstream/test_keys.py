"""Publishers' keys: kinds, hashes, fingerprints."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from bundle.errors import UsageError
from bundle.upstream.keys import RawKey

DATA = b"what was signed"


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    made: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return made


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        (ec.SECP256R1(), hashes.SHA256()),
        (ec.SECP384R1(), hashes.SHA384()),
        (ec.SECP384R1(), hashes.SHA256()),
        (ec.SECP521R1(), hashes.SHA512()),
        (ec.SECP521R1(), hashes.SHA256()),
    ],
)
def test_ecdsa_is_taken_with_the_hash_of_its_curve_and_with_cosigns(
    curve: ec.EllipticCurve, kind: hashes.HashAlgorithm
) -> None:
    key = ec.generate_private_key(curve)
    read = RawKey.from_pem("k", pem(key), what="k")
    signature = key.sign(DATA, ec.ECDSA(kind))
    assert read.made(signature, DATA)
    assert not read.made(signature, DATA + b" ")


@pytest.mark.parametrize(
    ("curve", "kind"),
    [
        (ec.SECP256R1(), hashes.SHA384()),
        (ec.SECP256R1(), hashes.SHA1()),
        (ec.SECP384R1(), hashes.SHA512()),
    ],
)
def test_another_hash_is_not_taken(curve: ec.EllipticCurve, kind: hashes.HashAlgorithm) -> None:
    key = ec.generate_private_key(curve)
    assert not RawKey.from_pem("k", pem(key), what="k").made(key.sign(DATA, ec.ECDSA(kind)), DATA)


def test_ed25519_and_rsa_are_taken() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert RawKey.from_pem("k", pem(edwards), what="k").made(edwards.sign(DATA), DATA)
    long = rsa.generate_private_key(65537, 2048)
    signature = long.sign(DATA, padding.PKCS1v15(), hashes.SHA256())
    read = RawKey.from_pem("k", pem(long), what="k")
    assert read.made(signature, DATA)
    assert not read.made(signature, b"other")
    assert not read.made(b"", DATA)


def test_a_fingerprint_is_of_the_key_in_der() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_key().public_bytes(serialization.Encoding.DER, form)
    found = RawKey.from_pem("k", pem(key), what="k").fingerprint
    assert found == "sha256:" + hashlib.sha256(der).hexdigest()


def test_weak_and_odd_keys_are_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)
    with pytest.raises(UsageError, match="RSA key of 1024 bits"):
        RawKey.from_pem("k", pem(short), what="k")
    for curve in (ec.SECP256K1(), ec.SECP192R1()):
        with pytest.raises(UsageError, match="ECDSA key on") as caught:
            RawKey.from_pem("k", pem(ec.generate_private_key(curve)), what="k")
        assert "P-384" in caught.value.hint


@pytest.mark.parametrize(
    "given", [b"", b"ssh-ed25519 AAAA", b"\xff", b"-----BEGIN RSA PUBLIC KEY-----\n"]
)
def test_what_is_no_key_is_told_what_publishers_sign_with(given: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        RawKey.from_pem("k", given, what="vendor.pub")
    assert caught.value.message.startswith("vendor.pub ")
