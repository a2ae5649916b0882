"""Public keys of publishers: which kinds are taken, and what one of them has signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle.errors import UsageError
from bundle.signature import kind_of, load_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    from bundle.upstream.openpgp import Keyring

    Taken = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

_HASHES: dict[str, tuple[type[HashAlgorithm], ...]] = {
    SECP256R1.name: (SHA256,),
    SECP384R1.name: (SHA384, SHA256),
    SECP521R1.name: (SHA512, SHA256),
}
"""The hash that goes with a curve (Sigstore's algorithm registry, model signing), and the one that
cosign took for every key before release 3.1."""
RSA_BITS = (2048, 8192)
_WANTED = "publishers sign with ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits and more"


@dataclass(frozen=True, slots=True)
class RawKey:
    """A key in PEM, for cosign's and for models' signatures; ``name`` is what the policy calls it.

    ``fingerprint`` is ``sha256:`` and the SHA-256 of its SubjectPublicKeyInfo in DER.
    """

    name: str
    fingerprint: str
    _key: Taken = field(repr=False)

    @classmethod
    def from_pem(cls, name: str, pem: bytes, *, what: str) -> RawKey:
        """Read a public key; ``what`` names it in the :class:`UsageError`."""
        key = load_pem(pem, what=what, wanted=_WANTED)
        if not isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey):
            raise UsageError(f"{what} is {kind_of(key)}, which is not taken", hint=_WANTED)
        if isinstance(key, EllipticCurvePublicKey) and key.curve.name not in _HASHES:
            raise UsageError(f"{what} is {kind_of(key)}, which is not taken", hint=_WANTED)
        if isinstance(key, RSAPublicKey) and not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
            message = f"{what} is an RSA key of {key.key_size} bits, which is not taken"
            raise UsageError(message, hint=_WANTED)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(name, f"sha256:{hashlib.sha256(der).hexdigest()}", key)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The one fingerprint."""
        return (self.fingerprint,)

    @property
    def file(self) -> str:
        """What a file with this key is called."""
        return f"{self.name}.pub"

    @property
    def text(self) -> str:
        """The key in PEM."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(Encoding.PEM, form).decode("ascii")

    def made(self, signature: bytes, data: bytes) -> bool:
        """Whether ``signature`` is one of this key over exactly ``data``."""
        return any(_verified(self._key, signature, data, kind) for kind in _hashes(self._key))


def _hashes(key: Taken) -> tuple[type[HashAlgorithm], ...]:
    return _HASHES[key.curve.name] if isinstance(key, EllipticCurvePublicKey) else (SHA256,)


def _verified(key: Taken, signature: bytes, data: bytes, kind: type[HashAlgorithm]) -> bool:
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA(kind()))
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, data, PKCS1v15(), kind())
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that one rule lets count."""

    raw: tuple[RawKey, ...] = ()
    rings: tuple[Keyring, ...] = ()

    @property
    def names(self) -> str:
        """What the policy calls them, for messages."""
        names = [key.name for key in self.raw] + [ring.name for ring in self.rings]
        return ", ".join(sorted(names)) or "no key"

    def maker(self, signature: bytes, data: bytes) -> RawKey | None:
        """Return the key that made ``signature`` over exactly ``data``, if one of these did."""
        return next((key for key in self.raw if key.made(signature, data)), None)
