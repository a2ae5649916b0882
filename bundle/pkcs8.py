"""Private keys as PKCS#8 in PEM, encrypted so that guessing the passphrase is slow.

``cryptography`` writes 2,048 rounds of PBKDF2 and offers no choice, so the container is made here
and only its content there. OpenSSL and ``cryptography`` read it (RFC 5958; RFC 8018, appendix A).
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bundle import fips

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROUNDS = 600_000
"""Rounds of PBKDF2 with HMAC-SHA-256 (OWASP, Password Storage Cheat Sheet)."""

_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC = bytes.fromhex("060960864801650304012a")
_NULL = b"\x05\x00"
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30


def to_pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    """Return the key in PEM, encrypted with AES-256-CBC unless ``passphrase`` is None."""
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = base64.encodebytes(_encrypted(plain, passphrase)).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    label = "ENCRYPTED PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _encrypted(plain: bytes, passphrase: bytes) -> bytes:
    salt, vector = fips.random_bytes(16), fips.random_bytes(16)
    padder = PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    secret = hashlib.pbkdf2_hmac("sha256", passphrase, salt, ROUNDS, 32)
    encryptor = Cipher(AES256(secret), CBC(vector)).encryptor()
    rounds = _der(_INTEGER, ROUNDS.to_bytes(3, "big"))
    salted = _der(_OCTETS, salt) + rounds + _der(_SEQUENCE, _HMAC_SHA256 + _NULL)
    derivation = _der(_SEQUENCE, _PBKDF2 + _der(_SEQUENCE, salted))
    cipher = _der(_SEQUENCE, _AES256_CBC + _der(_OCTETS, vector))
    scheme = _der(_SEQUENCE, _PBES2 + _der(_SEQUENCE, derivation + cipher))
    sealed = encryptor.update(padded) + encryptor.finalize()
    return _der(_SEQUENCE, scheme + _der(_OCTETS, sealed))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
