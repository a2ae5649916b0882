"""HPKE as RFC 9180 has it, with the key agreement left to whoever holds the private key."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle import hpke

if TYPE_CHECKING:
    from collections.abc import Callable

INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
TEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
RECIPIENT = bytes.fromhex(
    "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f"
    "853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c"
)
EPHEMERAL_SEED = bytes.fromhex("a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c")
SEALED = bytes.fromhex(
    "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f"
)
"""The vector of this suite in BoringSSL's hpke_test_vectors.txt; RFC 9180 prints none of it."""


def point(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def agreement(key: EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    def agree(other: bytes) -> bytes:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), other)
        return key.exchange(ECDH(), public)

    return agree


def derived(seed: bytes) -> EllipticCurvePrivateKey:
    """``DeriveKeyPair`` (RFC 9180, section 7.1.3); its first candidate is good for this seed."""
    kem = b"HPKE-v1KEM\x00\x10"
    prk = hmac.digest(b"", kem + b"dkp_prk" + seed, "sha256")
    secret = hmac.digest(prk, b"\x00\x20" + kem + b"candidate\x00\x01", "sha256")
    return derive_private_key(int.from_bytes(secret, "big"), SECP256R1())


def sealed(text: bytes, sender: EllipticCurvePrivateKey, recipient: bytes, info: bytes) -> bytes:
    return hpke.seal(
        text,
        agreed=agreement(sender)(recipient),
        sender=point(sender),
        recipient=recipient,
        info=info,
        aad=b"",
    )


def test_the_published_vector_comes_out() -> None:
    sender = derived(EPHEMERAL_SEED)
    made = hpke.seal(
        TEXT,
        agreed=agreement(sender)(RECIPIENT),
        sender=point(sender),
        recipient=RECIPIENT,
        info=INFO,
        aad=b"Count-0",
    )
    assert made == SEALED


def test_the_shared_secret_is_that_of_appendix_a_3() -> None:
    """The suite there has another cipher, the same key encapsulation."""
    sender = derived(
        bytes.fromhex("4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e")
    )
    recipient = derive_private_key(
        0xF3CE7FDAE57E1A310D87F1EBBDE6F328BE0A99CDBCADF4D6589CF29DE4B8FFD2, SECP256R1()
    )
    agreed = agreement(recipient)(point(sender))
    assert hpke._shared(agreed, point(sender) + point(recipient)) == bytes.fromhex(
        "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8"
    )


def test_another_implementation_opens_and_seals_the_same() -> None:
    other = pytest.importorskip("cryptography.hazmat.primitives.hpke")
    suite = other.Suite(other.KEM.P256, other.KDF.HKDF_SHA256, other.AEAD.AES_256_GCM)
    sender, recipient = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    ours = point(sender) + sealed(b"ours", sender, point(recipient), b"info")
    assert suite.decrypt(ours, recipient, b"info") == b"ours"
    theirs = suite.encrypt(b"theirs", recipient.public_key(), b"info")
    opened = hpke.unseal(
        theirs[hpke.POINT :],
        agreement(recipient),
        sender=theirs[: hpke.POINT],
        recipient=point(recipient),
        info=b"info",
        aad=b"",
    )
    assert opened == b"theirs"


@pytest.mark.parametrize("what", ["key", "info", "sender", "no point", "text", "tag", "short"])
def test_anything_else_than_what_was_sealed_is_refused(what: str) -> None:
    sender, recipient = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    stranger = generate_private_key(SECP256R1())
    made = sealed(b"secret", sender, point(recipient), b"info")
    whole = {"text": b"\xff" + made[1:], "tag": made[:-1] + b"\xff", "short": made[:-1]}
    points = {"sender": point(stranger), "no point": b"\x04" + bytes(64)}
    with pytest.raises(ValueError, match=r"not authentic|EC key"):
        hpke.unseal(
            whole.get(what, made),
            agreement(stranger if what == "key" else recipient),
            sender=points.get(what, point(sender)),
            recipient=point(recipient),
            info=b"other" if what == "info" else b"info",
            aad=b"",
        )
