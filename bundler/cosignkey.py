"""cosign's private key files: scrypt and NaCl's secretbox around a key in PKCS#8.

Source: github.com/secure-systems-lab/go-securesystemslib, package ``encrypted``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from bundle import fips
from bundle.decode import Fields, parse_json, spell
from bundle.errors import UsageError
from bundler import secretbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.decode import Path as Place
    from bundle.secretfile import Passphrase

MAX_MEMORY = 64 << 20
"""The most that scrypt is let have, in bytes: what cosign asks for."""

_PEM = re.compile(
    rb"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s"
    rb"([A-Za-z0-9+/=\s]+)-----END ENCRYPTED \1 PRIVATE KEY-----"
)


def is_cosign(data: bytes) -> bool:
    """Whether ``data`` looks like such a file."""
    return b"SIGSTORE PRIVATE KEY-----" in data or b"COSIGN PRIVATE KEY-----" in data


def open_key(path: Path, data: bytes, passphrase: Passphrase) -> bytes:
    """Return the key as PKCS#8 in DER; ``passphrase`` is looked for unless the empty one fits.

    Raises :class:`UsageError`: the file is broken, asks for too much, or the passphrase is wrong.
    """
    fips.refuse(f"{path} is encrypted with scrypt and XSalsa20, which", "are not approved")

    def fault(place: Place, message: str, hint: str) -> UsageError:
        where = f": {spell(place)}" if place else ""
        return UsageError(f"{path}{where} {message}", hint=hint or "make it anew with cosign")

    match = _PEM.fullmatch(data.strip())
    if match is None:
        raise fault((), "is not one of cosign's key files", "")
    try:
        document = parse_json(base64.b64decode(match[2]), limit=len(data))
    except ValueError:
        raise fault((), "is damaged: its body is not JSON in base64", "") from None
    derive, nonce, box = _read(Fields(document, (), fault))
    with suppress(ValueError):  # cosign takes an empty passphrase, and pipelines use it
        return secretbox.open_box(derive(b""), nonce, box)
    try:
        return secretbox.open_box(derive(passphrase.find(str(path))), nonce, box)
    except ValueError:
        raise passphrase.wrong(str(path)) from None


def _read(fields: Fields) -> tuple[Callable[[bytes], bytes], bytes, bytes]:
    kdf, cipher = fields.child("kdf"), fields.child("cipher")
    kdf.text("name", choices=["scrypt"])
    cipher.text("name", choices=["nacl/secretbox"])
    params = kdf.child("params")
    n, r, p = (params.integer(name, low=1, high=1 << 24) for name in ("N", "r", "p"))
    if n & (n - 1) or 128 * n * r * p > MAX_MEMORY:
        raise kdf.wrong("params", "ask scrypt for more than cosign ever does")
    salt, nonce, box = (_bytes(kdf, "salt"), _bytes(cipher, "nonce"), _bytes(fields, "ciphertext"))

    def derive(secret: bytes) -> bytes:
        settings: dict[str, int] = {"n": n, "r": r, "p": p, "maxmem": 2 * MAX_MEMORY}
        try:
            return hashlib.scrypt(secret, salt=salt, dklen=secretbox.KEY, **settings)
        except ValueError as error:  # one of a FIPS provider
            message = f"needs scrypt, which this host's OpenSSL refuses: {error}"
            raise fields.fault((), message, "") from None

    return derive, nonce, box


def _bytes(fields: Fields, key: str) -> bytes:
    try:
        return base64.b64decode(fields.text(key), validate=True)
    except ValueError:
        raise fields.wrong(key, "is not base64") from None
