"""A chunk on its way in encrypted form: the same as any other, but for what is on the medium."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.box import Box, Damaged
from bundle.chunks import Inner
from bundle.digest import Digest
from bundle.segments import HEADER, Cuts
from bundler.chunkfile import ChunkFile, Comparison, end_of
from bundler.memberfile import EncryptedMember, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.chunkfile import Span
    from bundler.chunkkeys import ChunkKey
    from bundler.heldback import HeldBack
    from bundler.memberfile import Member
    from bundler.packing import Piece


@dataclass(frozen=True)
class EncryptedFile(ChunkFile):
    """One chunk on its way, encrypted with ``key``."""

    key: ChunkKey = field(repr=False)

    def member(self, handle: int, piece: Piece, held: HeldBack) -> Member:
        """Return what encrypts a piece's data."""
        return EncryptedMember(handle, _box(self.key), piece, held)

    def _write_ends(self, handle: int, prefix: bytes, spans: Sequence[Span]) -> None:
        cuts, box, end = _cuts(prefix, spans), _box(self.key), end_of(prefix, spans)
        write_all(handle, self.key.header, 0)
        offset = 0
        while offset < len(prefix):
            segment = cuts.at(offset)
            offset += segment.size
            data = prefix[segment.offset : offset]
            write_all(handle, box.seal(segment, data), segment.position)
        last = cuts.at(end)
        write_all(handle, box.seal(last, ustar.TRAILER), last.position)
        os.ftruncate(handle, cuts.file_size)

    def _comparison(self, prefix: bytes, spans: Sequence[Span]) -> Comparison:
        return _Opening(self.key, prefix, spans)


class _Opening(Comparison):
    """The file's bytes as they come back: opened, and compared in clear with what was written."""

    def __init__(self, key: ChunkKey, prefix: bytes, spans: Sequence[Span]) -> None:
        super().__init__(prefix, spans)
        self._cuts = _cuts(prefix, spans)
        self._segments = iter(self._cuts)
        self._next = next(self._segments, None)
        self._key, self._box, self._sha = key, _box(key), hashlib.sha256()
        self._held = bytearray()
        self._is_header_read = self._is_header_bad = False

    def inner(self) -> Inner:
        """Return size and digest in clear, and the digest of the header."""
        digest = Digest("sha256:" + self._sha.hexdigest())
        return Inner(self._cuts.size, digest, Digest.of(self._key.header))

    def take(self, block: memoryview, *, damaged: bool = False) -> None:
        """Take the next bytes of the file."""
        self._held += block
        if not self._is_header_read and len(self._held) >= HEADER:
            self._is_header_read = True
            self._is_header_bad = self._held[:HEADER] != self._key.header
            del self._held[:HEADER]
        while self._is_header_read and self._next and len(self._held) >= self._next.stored:
            self._open(damaged=damaged)

    def _open(self, *, damaged: bool) -> None:
        assert self._next is not None  # noqa: S101  (take has looked)
        with memoryview(self._held)[: self._next.stored] as stored:
            try:
                plain = self._box.open(self._next, stored)
            except Damaged:
                plain, damaged = bytes(self._next.size), True
        del self._held[: self._next.stored]
        self._sha.update(plain)
        super().take(memoryview(plain), damaged=damaged or self._is_header_bad)
        self._next = next(self._segments, None)

    def parts(self, name: str) -> tuple[Digest, ...]:
        """Return the members' digests; what comes behind the last segment is wrong as well."""
        if self._held and self._next is None:
            super().take(memoryview(b"\0"), damaged=True)
        return super().parts(name)


def _box(key: ChunkKey) -> Box:
    return Box(key.secret, hashlib.sha256(key.header).digest())


def _cuts(prefix: bytes, spans: Sequence[Span]) -> Cuts:
    return Cuts(len(prefix), [(span.offset, span.size) for span in spans])
