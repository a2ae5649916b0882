"""Chunks written from front to back: where the next byte of a blob goes, whatever its length."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.chunks import Part, member_name
from bundle.digest import BLOCK, Digest
from bundler.chunkfile import medium_errors
from bundler.heldback import HeldBack
from bundler.packing import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundler.chunkfile import ChunkFile
    from bundler.geometry import Geometry
    from bundler.memberfile import Member


_NOBODY = Digest.of(b"")
"""In the place of a blob's digest, which nothing here asks for."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the tape: chunk, offset in it, bytes of its room and segments that are taken."""

    number: int
    position: int
    used: int
    segments: int


@dataclass
class _Piece:
    """A piece of the blob begun: where it is, and what of it has come."""

    at: Mark
    offset: int
    start: int
    size: int
    sha: hashlib._Hash

    def part(self) -> Part:
        """Return what the manifest says of it."""
        digest = Digest("sha256:" + self.sha.hexdigest())
        return Part(self.at.number, self.offset, self.size, digest)


class Tape:
    """Chunks from ``first`` on, each with ``room`` bytes for members behind a prefix of ``start``.

    One blob is written at a time. Close it in the end, and after whatever went wrong.
    """

    def __init__(
        self,
        chunk: Callable[[int], ChunkFile],
        first: int,
        start: int,
        room: int,
        geometry: Geometry,
    ) -> None:
        self._chunk, self.first = chunk, first
        self._start, self._room, self._geometry = start, room, geometry
        self._at = self._front(first)
        self._pieces: list[_Piece] = []
        self._end = 0
        self._held = HeldBack()
        self._member: Member
        self._open = ExitStack()

    @property
    def number(self) -> int:
        """The chunk that is being filled."""
        return self._at.number

    @property
    def settled(self) -> int:
        """How many stored bytes of the blob begun a run that goes on will find."""
        size = sum(piece.size for piece in self._pieces)
        return sum(end - start for start, end in self._held.without([(0, size)]))

    def _front(self, number: int) -> Mark:
        return Mark(number, self._start, 0, self._geometry.segments(self._start))

    def _behind(self, at: Mark, size: int) -> Mark:
        used = at.used + self._geometry.cost(size)
        segments = at.segments + self._geometry.member_segments(size)
        return Mark(at.number, at.position + ustar.span(size), used, segments)

    def mark(self) -> Mark:
        """Return where the tape stands, between two blobs."""
        return self._at

    def reset(self, mark: Mark) -> None:
        """Stand where the tape stood: whatever came behind it is forgotten."""
        self.close()
        self._at, self._pieces = mark, []
        self._held.clear()

    def close(self) -> None:
        """Let the chunk go."""
        self._open.close()

    def seek(self, parts: tuple[Part, ...]) -> None:
        """Stand behind the next blob, which was written before."""
        for part in parts:
            at = self._at if part.chunk == self._at.number else self._front(part.chunk)
            self._at = self._behind(at, part.size)

    def begin(self) -> None:
        """Begin a blob."""
        self._pieces = []
        self._held.clear()
        self._next()

    def _next(self) -> None:
        """Begin a piece behind the last one, or in the next chunk where nothing more fits."""
        if self._pieces:
            self._at = self._behind(self._at, self._pieces[-1].size)
        if self._room - self._at.used < self._geometry.cost(ustar.RECORD):
            self._at = self._front(self._at.number + 1)
        offset = self._at.position + ustar.RECORD
        most = self._geometry.most(self._room - self._at.used)
        self._end = offset + most
        start = sum(piece.size for piece in self._pieces)
        self._pieces.append(_Piece(self._at, offset, start, 0, hashlib.sha256()))
        self._member = self._enter(self._pieces[-1], most)

    def _enter(self, piece: _Piece, most: int) -> Member:
        self._open.close()
        chunk, at = self._chunk(piece.at.number), piece.at
        handle = self._open.enter_context(chunk.writing())
        planned = Piece(_NOBODY, None, piece.start, most, at.number, piece.offset, at.segments)
        return chunk.member(handle, planned, self._held)

    def _piece(self) -> _Piece:
        piece = self._pieces[-1]
        if piece.offset + piece.size < self._end:
            return piece
        self._next()
        return self._pieces[-1]

    def write(self, data: bytes) -> None:
        """Append to the blob."""
        view = memoryview(data)
        while view:
            piece = self._piece()
            taken = view[: self._end - piece.offset - piece.size]
            with medium_errors(self._chunk(piece.at.number).path):
                self._member.write(piece.size, taken)
            piece.sha.update(taken)
            piece.size += len(taken)
            view = view[len(taken) :]

    def recover(self, count: int) -> Iterator[bytes]:
        """Yield up to ``count`` stored bytes of the blob begun, as an earlier run left them.

        They count as written.
        """
        while count:
            piece = self._piece()
            most = min(BLOCK, count, self._end - piece.offset - piece.size)
            with medium_errors(self._chunk(piece.at.number).path):
                block = self._member.read(piece.size, most)
            if not block:
                return
            self._member.keep(piece.size, block)
            piece.sha.update(block)
            piece.size += len(block)
            count -= len(block)
            yield block

    def finish(self, digest: Digest, encoding: str) -> tuple[Part, ...]:
        """Write headers and padding around the blob's pieces; return them."""
        cut = len(self._pieces) > 1
        for number, piece in reversed(list(enumerate(self._pieces))):
            if piece is not self._pieces[-1]:
                self._member = self._enter(piece, piece.size)
            with medium_errors(self._chunk(piece.at.number).path):
                name = member_name(digest, encoding, number if cut else None)
                self._member.finish(name, piece.size)
        self.close()
        self._at = self._behind(self._at, self._pieces[-1].size)
        return tuple(piece.part() for piece in self._pieces)
