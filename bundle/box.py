"""Seals and opens the segments of an encrypted chunk: AES-256-GCM, each one whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bundle import fips
from bundle.segments import HEAD, NONCE

if TYPE_CHECKING:
    from bundle.segments import Segment


class Damaged(ValueError):
    """A segment is not what was sealed at its place."""


class Box:
    """Seals and opens the segments of one chunk with its file key; for one thread at a time.

    Every sealing draws a nonce of 96 random bits (SP 800-38D, section 8.2.2). That is what makes it
    safe to write a segment again after a crash with other bytes: no (key, nonce) ever comes twice,
    and flash keeps what was overwritten.
    """

    def __init__(self, file_key: bytes, header_sha256: bytes) -> None:
        self._aead, self._header = AESGCM(file_key), header_sha256

    def seal(self, segment: Segment, data: bytes | bytearray | memoryview) -> bytes:
        """Return the segment as it stands in the file; ``data`` is of its size."""
        nonce = fips.random_bytes(NONCE)
        sealed = self._aead.encrypt(nonce, data, self._about(segment))
        return segment.size.to_bytes(4, "big") + nonce + sealed

    def open(self, segment: Segment, stored: bytes | memoryview) -> bytes:
        """Return a segment's plain bytes, all of them authentic; else raise :class:`Damaged`."""
        view = memoryview(stored)
        if len(view) != segment.stored or view[:4] != segment.size.to_bytes(4, "big"):
            raise Damaged
        try:
            return self._aead.decrypt(view[4:HEAD], view[HEAD:], self._about(segment))
        except InvalidTag:
            raise Damaged from None

    def _about(self, segment: Segment) -> bytes:
        """Return what binds a segment to this header, its place, its length and the end."""
        place = segment.offset.to_bytes(8, "big") + segment.size.to_bytes(4, "big")
        return self._header + place + bytes([segment.last])
