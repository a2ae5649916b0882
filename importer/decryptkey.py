"""The one place of the high side that reads a private key: the one that opens encrypted chunks.

It signs nothing, and no key that signs is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from bundle.errors import UsageError
from bundle.secretfile import DECRYPTION, Passphrase, read_key
from bundle.signature import PublicKey, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.trust import Trust

_WANTED = "it is an ECDSA P-256 key in PEM: dray keygen --for encryption makes one"


@dataclass(frozen=True, slots=True)
class DecryptKey:
    """A private key that opens chunks; satisfies :class:`bundle.envelope.Recipient`."""

    public_key: PublicKey
    point: bytes
    _key: EllipticCurvePrivateKey = field(repr=False)

    @property
    def fingerprint(self) -> Digest:
        """The digest of the public key."""
        return self.public_key.fingerprint

    def agree(self, point: bytes) -> bytes:
        """Return the x-coordinate that ECDH gives with ``point``; ``ValueError`` for no point."""
        other = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
        return self._key.exchange(ECDH(), other)


def load(path: Path, trust: Trust, *, passphrase: Passphrase) -> tuple[DecryptKey, str]:
    """Read the private key; return it, and a warning for people (empty when all is well).

    Raises :class:`UsageError` when it is no such key, its passphrase is wrong, or the trust file
    knows it as a key that signs.
    """
    data, warning = read_key(path, hint=_WANTED)
    try:
        key: object = _decrypted(path, data, passphrase)
    except (ValueError, UnsupportedAlgorithm):
        message = f"{path} is not a private key that can be read"
        raise UsageError(message, hint=_WANTED) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise UsageError(f"{path} is {kind_of(key)}, which opens nothing", hint=_WANTED)
    public = key.public_key()
    known = PublicKey.of(public)
    if known in trust.keys.values():
        message = f"{path} is a key of the trust file: it signs, and must not open chunks as well"
        raise UsageError(message, hint="keep it off this host; " + _WANTED)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return DecryptKey(known, point, key), warning


def _decrypted(path: Path, data: bytes, passphrase: Passphrase) -> object:
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # how cryptography says that the key is encrypted
        secret = passphrase.find()
    try:
        return load_pem_private_key(data, secret)
    except ValueError:
        hint = f"look at {DECRYPTION} and {DECRYPTION}_FILE"
        raise UsageError(f"wrong passphrase for {path}", hint=hint) from None
