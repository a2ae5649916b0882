"""Keys and signers for tests: real ones, made once, and never written to a disk."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle import instant
from bundle.quorum import Role, Stream
from bundle.signature import PublicKey, file_names, to_sigstore
from bundle.trust import Trust
from bundler.signing import Signer
from importer.decryptkey import DecryptKey

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = instant.parse("2026-06-01T12:00:00Z")
LATER = instant.parse("2027-06-01T12:00:00Z")


@cache
def signer(name: str, algorithm: str = "p256") -> Signer:
    """Return the signer of this name: the same key every time within a run."""
    if algorithm == "ed25519":
        edwards = Ed25519PrivateKey.generate()
        return Signer(name, PublicKey.of(edwards.public_key()), edwards.sign)
    curve = generate_private_key(SECP256R1())
    public = PublicKey.of(curve.public_key())
    return Signer(name, public, lambda data: curve.sign(data, ECDSA(SHA256())))


@cache
def recipient(name: str) -> DecryptKey:
    """Return the key that opens what was encrypted to this name: the same one within a run."""
    key = generate_private_key(SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return DecryptKey(PublicKey.of(key.public_key()), point, key)


def signed(data: bytes, *signers: Signer, document: str = "m.json") -> dict[str, bytes]:
    """Return the Sigstore bundles of the signers over ``data``, by file name."""
    return {
        file_names(document, one.name)[0]: to_sigstore(data, one.sign(data), one.public_key)
        for one in signers
    }


def trust(
    *signers: Signer, streams: Mapping[str, Stream] | None = None, **changes: object
) -> Trust:
    """Return a trust file of these signers; by default each may sign ``prod``, one is enough."""
    names = tuple(one.name for one in signers)
    fields: dict[str, object] = {
        "version": 1,
        "expires": LATER,
        "keys": {one.name: one.public_key for one in signers},
        "root": Role(names, 1),
        "streams": {"prod": Stream.of(names, 1)} if streams is None else streams,
    }
    return Trust(**(fields | changes))  # type: ignore[arg-type]
