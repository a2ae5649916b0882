"""HPKE for one message: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode (RFC 9180).

Composed here, of approved primitives only (ECDH and HKDF of SP 800-56A and 56C, AES-GCM), because
the agreement with the private key has to be able to happen elsewhere: whoever opens passes a
function from the sender's point to the shared x-coordinate. No private key comes in here.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Callable

POINT = 65
"""Bytes of an uncompressed point on P-256 (SEC 1, section 2.3.3)."""
TAG = 16
_VERSION = b"HPKE-v1"
_KEM = b"KEM" + (0x0010).to_bytes(2, "big")
_SUITE = b"HPKE" + b"".join(part.to_bytes(2, "big") for part in (0x0010, 0x0001, 0x0002))
_BASE = b"\x00"


def seal(
    plaintext: bytes, *, agreed: bytes, sender: bytes, recipient: bytes, info: bytes, aad: bytes
) -> bytes:
    """Return the ciphertext and its tag, for the holder of the ``recipient`` point's private key.

    ``agreed`` is the x-coordinate that ECDH gives between the ephemeral key of the ``sender`` point
    and ``recipient`` (``SealBase``, RFC 9180, section 6.1). An ephemeral key is used once.
    """
    key, nonce = _schedule(_shared(agreed, sender + recipient), info)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def unseal(
    ciphertext: bytes,
    agree: Callable[[bytes], bytes],
    *,
    sender: bytes,
    recipient: bytes,
    info: bytes,
    aad: bytes,
) -> bytes:
    """Return the plaintext (``OpenBase``); raise ``ValueError`` when it is not authentic.

    ``agree`` takes the ``sender`` point and returns what ECDH gives; it raises ``ValueError`` when
    that is no point of the curve.
    """
    key, nonce = _schedule(_shared(agree(sender), sender + recipient), info)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        msg = "not authentic"
        raise ValueError(msg) from None


def _shared(agreed: bytes, context: bytes) -> bytes:
    secret = _extract(_KEM, b"", b"eae_prk", agreed)
    return _expand(_KEM, secret, b"shared_secret", context, 32)


def _schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return key and nonce of the first message (RFC 9180, section 5.1, mode base)."""
    context = _BASE + _extract(_SUITE, b"", b"psk_id_hash", b"")
    context += _extract(_SUITE, b"", b"info_hash", info)
    secret = _extract(_SUITE, shared, b"secret", b"")
    key = _expand(_SUITE, secret, b"key", context, 32)
    return key, _expand(_SUITE, secret, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    # An empty key and one of zeros are the same to HMAC; validated modules may refuse short ones.
    return hmac.digest(salt or bytes(32), _VERSION + suite + label + material, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """``LabeledExpand`` for at most 32 bytes: one round of HKDF-Expand (RFC 5869)."""
    labeled = size.to_bytes(2, "big") + _VERSION + suite + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:size]
