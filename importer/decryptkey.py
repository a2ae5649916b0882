"""The private key of the high side that opens encrypted chunks.

It signs nothing, and no key that signs is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle.signature import PublicKey
from importer import privatekey

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.secretfile import Passphrase
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
    taken = "it signs, and must not open chunks as well"
    key, warning = privatekey.load(
        path, trust, passphrase, wanted=_WANTED, unfit="opens nothing", taken=taken
    )
    public = key.public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return DecryptKey(PublicKey.of(public), point, key), warning
