"""Opens NaCl's secretbox (XSalsa20 and Poly1305), in which cosign keeps its private keys.

Only that is done here: a few hundred bytes, once, for whoever knows the passphrase. Poly1305 is
``cryptography``'s; Salsa20 it does not have. Source: D. J. Bernstein, "Extending the Salsa20
nonce".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY, NONCE, TAG = 32, 24, 16
"""Sizes in bytes."""

_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_MASK = 0xFFFFFFFF


def open_box(key: bytes, nonce: bytes, box: bytes) -> bytes:
    """Return what ``box`` (tag and ciphertext) holds; raise ``ValueError`` if it is not genuine."""
    if (len(key), len(nonce)) != (KEY, NONCE) or len(box) < TAG:
        msg = "not a secretbox"
        raise ValueError(msg)
    tag, sealed = box[:TAG], box[TAG:]
    stream = _stream(_subkey(key, nonce[:16]), nonce[16:], 32 + len(sealed))
    try:
        Poly1305.verify_tag(stream[:32], sealed, tag)
    except InvalidSignature:
        msg = "the secretbox is not genuine, or its key is another"
        raise ValueError(msg) from None
    return bytes(a ^ b for a, b in zip(sealed, stream[32:], strict=True))


def _subkey(key: bytes, nonce: bytes) -> bytes:
    """HSalsa20: the key of one nonce."""
    words = _rounds(_state(key, nonce))
    return struct.pack("<8I", *(words[at] for at in (0, 5, 10, 15, 6, 7, 8, 9)))


def _stream(key: bytes, nonce: bytes, size: int) -> bytes:
    blocks = bytearray()
    while len(blocks) < size:
        state = _state(key, nonce + struct.pack("<Q", len(blocks) // 64))
        words = _rounds(state)
        blocks += struct.pack("<16I", *((a + b) & _MASK for a, b in zip(words, state, strict=True)))
    return bytes(blocks[:size])


def _state(key: bytes, rest: bytes) -> list[int]:
    low, high = struct.unpack("<4I", key[:16]), struct.unpack("<4I", key[16:])
    middle = struct.unpack("<4I", rest)
    return [_SIGMA[0], *low, _SIGMA[1], *middle, _SIGMA[2], *high, _SIGMA[3]]


def _rounds(state: Sequence[int]) -> list[int]:
    x = list(state)
    for _ in range(10):
        for a, b, c, d in (*_COLUMNS, *_ROWS):
            x[b] ^= _rotated(x[a] + x[d], 7)
            x[c] ^= _rotated(x[b] + x[a], 9)
            x[d] ^= _rotated(x[c] + x[b], 13)
            x[a] ^= _rotated(x[d] + x[c], 18)
    return x


def _rotated(word: int, by: int) -> int:
    word &= _MASK
    return (word << by | word >> (32 - by)) & _MASK
