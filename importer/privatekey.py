"""Reads a private key of the high side, which is for one purpose and never a signer of bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bundle import fips
from bundle.errors import UsageError
from bundle.secretfile import read_key
from bundle.signature import PublicKey, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.secretfile import Passphrase
    from bundle.trust import Trust


def load(
    path: Path, trust: Trust | None, passphrase: Passphrase, *, wanted: str, unfit: str, taken: str
) -> tuple[EllipticCurvePrivateKey, str]:
    """Return the P-256 key in a PEM file, and a warning for people (empty when all is well).

    ``wanted`` is the hint that says which key is meant; ``unfit`` what a key of another kind does
    not do; ``taken`` why a key of the trust file is not taken. Raises :class:`UsageError`.
    """
    data, warning = read_key(path, hint=wanted)
    try:
        key: object = _decrypted(path, data, passphrase)
    except (ValueError, UnsupportedAlgorithm, InternalError):
        if b"PUBLIC KEY-----" in data:
            message = f"{path} is a public key, not a private one"
            raise UsageError(message, hint=wanted) from None
        if fips.is_on():
            hint = "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256"
            message = f"--fips: {path} cannot be read with what is approved"
            raise UsageError(message, hint=hint) from None
        message = f"{path} is not a private key that can be read"
        raise UsageError(message, hint=wanted) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise UsageError(f"{path} is {kind_of(key)}, which {unfit}", hint=wanted)
    if trust is not None and PublicKey.of(key.public_key()) in trust.keys.values():
        message = f"{path} is a key of the trust file: {taken}"
        raise UsageError(message, hint="keep it off this host; " + wanted)
    return key, warning


def _decrypted(path: Path, data: bytes, passphrase: Passphrase) -> object:
    if b"Proc-Type: 4,ENCRYPTED" in data:
        fips.refuse(f"{path} is encrypted with a key made by MD5, which")
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # how cryptography says that the key is encrypted
        secret = passphrase.find(str(path))
    try:
        return load_pem_private_key(data, secret)
    except ValueError:
        raise passphrase.wrong(str(path)) from None
